from dataclasses import replace

import numpy as np
import pytest
from known_runs import make_run, quiet

from edgevit.profiles.stability import doubts


def kinds(run):
    return [doubt.kind for doubt in doubts(run)]


def spoiled(change):
    run = quiet()
    samples = np.array(run.rounds_s)
    change(samples)
    return make_run(samples)


def slow_tail(samples):
    samples[3::10, 0] *= 3


def drifting(samples):
    samples *= np.linspace(1, 1.06, len(samples))[:, None]


def scattered(samples):
    samples *= np.random.default_rng(3).uniform(0.9, 1.1, samples.shape)


def test_a_sound_run_has_no_doubts():
    assert kinds(quiet(macs=10**9, bracket=(1.02e11, 1e11, 1.01e11))) == []
    assert kinds(quiet(threads=4, cores_used=3.6)) == []
    assert kinds(make_run([(0.01,)] * 30)) == []  # a clock of coarse ticks
    cool = {"thermal_status": 0, "power_save": False, "on_battery": False}
    assert kinds(replace(quiet(), state=(cool, cool))) == []


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (spoiled(slow_tail), ["outliers"]),
        (spoiled(drifting), ["drift"]),
        (spoiled(scattered), ["noisy"]),
        (quiet(30e-6), ["short"]),
        (quiet(rounds=5), ["few rounds"]),
        (quiet(bracket=(1e11, 0.8e11, 1e11)), ["machine slowed"]),
        (quiet(cores_used=1.9), ["threads"]),
        (quiet(threads=4, cores_used=1.0), ["threads"]),
        (quiet(macs=2 * 10**9, bracket=(1e11,)), ["above peak"]),
        (replace(quiet(), state=({"on_battery": True}, {})), ["power"]),
        (replace(quiet(), state=({"power_save": False}, {"power_save": True})), ["power"]),
        (replace(quiet(), state=({"thermal_status": 0}, {"thermal_status": 1})), ["hot"]),
    ],
)
def test_each_defect_is_named_and_nothing_else(run, expected):
    assert kinds(run) == expected
    for doubt in doubts(run):
        assert doubt.seen
        assert doubt.why
        assert doubt.cure
        assert not any(text.endswith(".") for text in (doubt.seen, doubt.why, doubt.cure))


def test_eight_bits_may_exceed_the_fp32_peak():
    run = quiet(macs=2 * 10**9, bracket=(1e11,), precision="int8")
    assert kinds(run) == []
    assert kinds(replace(run, bracket_int8_macs_per_s=(4e11,))) == []
    (doubt,) = doubts(replace(run, bracket_int8_macs_per_s=(1.1e11,)))
    assert (doubt.kind, doubt.seen) == ("above peak", "182% of the machine's int8 peak")


def test_one_outlier_in_a_thousand_is_no_doubt():
    samples = np.array(quiet(samples=40).rounds_s)
    samples[7, 7] *= 50
    assert kinds(make_run(samples)) == []
