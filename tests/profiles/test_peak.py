import math

from edgevit.profiles import peak


def test_the_peak_is_a_plausible_rate():
    with peak.probe(1) as machine:
        rates = [machine.best(), machine.now()]
    assert all(math.isfinite(rate) for rate in rates)
    # Any 64-bit CPU between a slow single-board computer and a matrix unit.
    assert all(1e8 < rate < 1e13 for rate in rates)


def test_the_short_form_is_of_the_same_kind():
    assert peak.best_macs_per_s(run_s=0.001, repeats=1) > 0
