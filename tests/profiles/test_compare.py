from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_runs import make_run, quiet

from edgevit.errors import InputError
from edgevit.profiles.compare import ratio


def experiment(speedup, seed, *, rounds=30, samples=4):
    """Two runs side by side on a machine with drift, slow rounds and long samples."""
    rng = np.random.default_rng(seed)
    machine = 1 + 0.2 * np.linspace(0, 1, rounds)  # gets warm
    machine *= np.where(rng.random(rounds) < 0.2, rng.uniform(1.3, 2, rounds), 1)  # a neighbour
    runs = []
    for truth in (0.010, 0.010 / speedup):
        block = 1 + 0.02 * rng.standard_normal((rounds, 1))  # not shared by the pair
        seconds = truth * machine[:, None] * block * rng.lognormal(0, 0.01, (rounds, samples))
        seconds[rng.random(seconds.shape) < 0.03] *= 5
        runs.append(make_run(seconds))
    return runs


def test_the_interval_covers_the_truth_as_often_as_it_says():
    speedup = 1.05
    found = [ratio(*experiment(speedup, seed), resamples=2000) for seed in range(200)]
    covered = sum(r.low <= speedup <= r.high for r in found)
    assert 184 <= covered <= 200  # 95 % of 200 are 190, two standard deviations are 6
    assert np.median([r.value for r in found]) == pytest.approx(speedup, rel=0.003)


def test_equal_artifacts_are_indistinguishable_and_five_percent_is_found():
    equal = [ratio(*experiment(1.0, seed), resamples=2000).verdict for seed in range(200)]
    assert equal.count("indistinguishable") >= 198
    faster = [ratio(*experiment(1.05, seed), resamples=2000).verdict for seed in range(100)]
    assert faster.count("faster") >= 95
    slower = [ratio(*experiment(0.95, seed), resamples=2000).verdict for seed in range(50)]
    assert slower.count("slower") >= 47


def test_three_percent_are_found_in_a_minute():
    """A minute holds 400 rounds of two variants and their control, with the peak in between."""
    slower = [
        ratio(*experiment(0.97, seed, rounds=400), resamples=500).verdict for seed in range(100)
    ]
    assert slower.count("slower") >= 95


def test_rounds_over_which_the_machine_moved_are_left_out_unless_most_did():
    steady, other = quiet(noise=0), quiet(noise=0)
    hit = [
        tuple(3 * s for s in block) if r < 12 else block for r, block in enumerate(other.rounds_s)
    ]
    marked = replace(other, rounds_s=tuple(hit), unsettled=tuple(range(12)))
    assert ratio(steady, marked, resamples=200).low == pytest.approx(1)
    most = replace(marked, unsettled=tuple(range(20)))
    assert ratio(steady, most, resamples=200).low < 0.5


def test_runs_of_two_sessions_are_not_paired():
    base, other = quiet(noise=0.02), quiet(0.005, noise=0.02, rounds=12, seed=1)
    found = ratio(base, replace(other, started="2026-01-02T00:00:00+00:00"))
    assert not found.paired
    assert found.low <= 2 <= found.high


def test_unpaired_medians_would_have_missed_it():
    base, other = experiment(1.05, 0)
    wide = base.spread_pct
    found = ratio(base, other)
    assert wide > 10  # of the samples, while the paired interval is a few percent wide
    assert 100 * (found.high - found.low) < 4


@given(st.floats(0.2, 5), st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_swapping_the_runs_inverts_the_ratio(speedup, seed):
    a, b = experiment(speedup, seed)
    there, back = ratio(a, b, resamples=500), ratio(b, a, resamples=500)
    assert there.value * back.value == pytest.approx(1)
    assert there.low <= there.value <= there.high
    assert {there.verdict, back.verdict} in ({"faster", "slower"}, {"indistinguishable"})


def test_a_run_against_itself_is_exactly_one():
    run = quiet()
    found = ratio(run, run)
    assert (found.value, found.low, found.high, found.verdict) == (1, 1, 1, "indistinguishable")
    assert str(found) == "1.00× [1.00, 1.00]"


def test_unlike_runs_are_refused():
    with pytest.raises(InputError, match="threads"):
        ratio(quiet(), quiet(threads=2))
    with pytest.raises(InputError, match="30 rounds and 'm' has 29"):
        ratio(quiet(), quiet(rounds=29))
