"""An operator's time, and the layer that it belongs to."""

import pytest
from torch import nn

from edgevit.pipeline.prune_latency import by_owner, owners
from edgevit.profiles.ops.profile import OpProfile, Row


def net():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, groups=16),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 1),
    )


def test_the_profiler_s_own_time_is_taken_off_each_operator():
    rows = [
        Row("Conv", "", (), "0", 30e-6),
        Row("Conv", "", (), "6", 50e-6, timings=2),
        Row("Add", "", (), "", 5e-6),
    ]
    told = {"file": "", "target": "onnx", "runtime": "", "threads": 1, "runs": 1, "clock": ""}
    told |= {"profiled_s": 90e-6, "between_s": 0.0, "peak_macs_per_s": 1.0, "rows": tuple(rows)}
    found = by_owner(net(), OpProfile(latency_s=65e-6, **told))
    assert found["0.weight",] == pytest.approx(25e-6)
    assert found["6.weight", "6.bias"] == pytest.approx(40e-6)
    assert sum(found.values()) == pytest.approx(65e-6)
    found = by_owner(net(), OpProfile(latency_s=100e-6, **told))
    assert (found["0.weight",], found[()]) == pytest.approx((30e-6, 15e-6))


def test_an_operator_belongs_to_the_layer_that_it_was_folded_into():
    assert owners(net(), "1") == ("0.weight",)
    assert owners(net(), "4") == ("3.weight", "3.bias")
    assert owners(net(), "6") == ("6.weight", "6.bias")
    assert set(owners(net(), "2")) == set(dict(net().named_parameters()))
    assert set(owners(net(), "gone.act")) == set(dict(net().named_parameters()))
