import math
import sys

import pytest

from edgevit.profiles import peak


def test_the_peak_is_a_plausible_rate():
    with peak.probe(1) as machine:
        rates = [machine.best(), machine.now()]
    assert all(math.isfinite(rate) for rate in rates)
    # Any 64-bit CPU between a slow single-board computer and a matrix unit.
    assert all(1e8 < rate < 1e13 for rate in rates)


def test_the_short_form_is_of_the_same_kind():
    assert peak.best_macs_per_s(run_s=0.001, repeats=1) > 0


@pytest.mark.needs("onnxruntime", "onnx")
def test_int8_is_measured_beside_it():
    with peak.probe(1) as machine:
        fp32, int8 = machine.best(), machine.int8()
    # Instructions for bytes do 4 times as much as those for floats, and none a tenth.
    assert 0.1 * fp32 < int8 < 16 * fp32


def test_without_onnx_runtime_there_is_no_int8_peak(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert peak.best_int8_macs_per_s(1) is None
