"""Latency over time: rounds without rest, what is said of them, and their picture."""

from dataclasses import replace

import pytest
from known_runs import make_run

from edgevit.profiles.report.timeline import timeline
from edgevit.profiles.sustained import in_words, over_time

MINUTES = 5


@pytest.fixture
def warming():
    """A round a second for five minutes, from 4 to 6 ms, from 40 to 70 °C."""
    count = 60 * MINUTES
    rounds = tuple((0.004 + 0.002 * i / count,) * 3 for i in range(count))
    state = [{"seconds": 0.0, "celsius": 40.0}]
    state += [{"seconds": i + 1.0, "celsius": 40 + 30 * (i + 1) / count} for i in range(count)]
    return replace(make_run(rounds, name="warm.onnx"), state=tuple(state))


def test_first_minute_against_last(warming):
    assert in_words(warming) == (
        "warm.onnx: 4.2 ms in the first minute, 5.797 ms in the last of 5, 1.38×, 40 to 70 °C"
    )
    moments = over_time(warming)
    assert (moments[59].minutes, moments[-1].celsius) == (1.0, 70.0)


def test_what_took_less_than_two_minutes_or_says_no_time_has_nothing_over_time(warming):
    short = replace(warming, rounds_s=warming.rounds_s[:90], state=warming.state[:91])
    assert in_words(short) == ""
    assert timeline([short], title="t") == ""
    old = replace(warming, state=({"mhz": 1}, {"mhz": 2}))
    assert over_time(old) == []


def test_the_picture_has_a_line_for_each_run_and_says_what_it_shows(warming):
    other = replace(warming, name="other & one.onnx")
    page = timeline([warming, other], title="Session 1: latency over time")
    assert page.count("<g><title>") == 2
    assert "other &amp; one.onnx: 4.2 ms in the first minute" in page
