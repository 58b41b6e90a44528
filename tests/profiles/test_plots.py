"""Axes, bars and scatters: where marks lie, and the words beside them."""

import re

import pytest

from edgevit.profiles.report.axis import Axis
from edgevit.profiles.report.bars import Bar, bars
from edgevit.profiles.report.scatter import Point, scatter


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[3.8], [1, 1.0001], [0.5, 4], [0.02, 900], [71.8, 76]])
def test_an_axis_holds_its_values_and_has_round_ticks_inside(values, log):
    axis = Axis.around(values, left=10, right=90, log=log)
    assert all(10 < axis.at(v) < 90 for v in values)
    assert (axis.at(axis.low), axis.at(axis.high)) == (pytest.approx(10), pytest.approx(90))
    assert 2 <= len(axis.ticks) <= 20
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


def test_ticks_are_those_one_would_write():
    assert Axis(0, 100).ticks == [0, 50, 100]
    assert Axis(0, 9).ticks == [0, 5]
    assert Axis(0.9, 120, log=True).ticks == [1, 2, 5, 10, 20, 50, 100]


def test_a_logarithmic_axis_shows_equal_ratios_as_equal_lengths():
    axis = Axis(1, 100, log=True)
    assert axis.at(10) == pytest.approx(50)


def test_bars_begin_at_the_base():
    drawn = bars(
        [Bar("fast", 2.0, 1.5, 2.5, "2×"), Bar("<slow>", 0.5, 0.4, 0.6, "0.5×")],
        title="Ratios",
        described="numbers below",
        unit="×",
        base=1,
    )
    zero = float(re.search(r'class="zero" x1="([\d.]+)%', drawn)[1])
    boxes = re.findall(r'<rect class="bar" x="([\d.]+)%" width="([\d.]+)%"', drawn)
    (x1, w1), (x2, w2) = ((float(x), float(w)) for x, w in boxes)
    assert x1 == pytest.approx(zero)
    assert x2 + w2 == pytest.approx(zero, abs=0.01)
    assert w1 == pytest.approx(2 * w2, abs=0.02)  # from 1 to 2, and from 1 to 0.5
    assert "&lt;slow&gt;" in drawn
    assert "<slow>" not in drawn


def test_a_scatter_says_its_values_in_a_table():
    drawn = scatter(
        [Point("A&B", 1, 71.8), Point("C", 12, 76, 75, 77)], title="Accuracy", x="ms", y="%"
    )
    assert re.findall(r'<td class="number">([^<]*)</td>', drawn) == [
        *("1", "1", "71.8", "–", "–"),
        *("2", "12", "76", "75", "77"),
    ]
    low, high = (float(cy) for cy in re.findall(r'<circle [^>]*cy="([\d.]+)"', drawn))
    assert low > high  # the better one is drawn above
    assert "A&amp;B" in drawn


def test_equal_values_lie_on_the_line_of_one_scale():
    drawn = scatter([Point("a", 1, 1), Point("b", 3, 3)], title="t", x="x", y="y", same=True)
    line = re.search(r'class="zero" x1="(\d+)%" x2="(\d+)%" y1="(\d+)" y2="(\d+)"', drawn)
    x1, x2, y1, y2 = map(float, line.groups())
    for x, y in re.findall(r'cx="([\d.]+)%" cy="([\d.]+)"', drawn):
        assert (float(x) - x1) / (x2 - x1) == pytest.approx((float(y) - y1) / (y2 - y1), abs=1e-3)
