"""A paper's table against runs of known truth."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_runs import quiet
from scipy import stats

from edgevit.cli.papers import _said
from edgevit.profiles.reproduce import kendall, reproduced, spearman, summary

PAPER = {"base": 4.0, "a": 6.0, "b": 10.0, "c": 20.0, "d": 40.0}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=30))
@settings(max_examples=60, deadline=None)
def test_rank_correlations_are_those_of_scipy(pairs):
    x, y = np.array(pairs, float).T
    if len({*x}) == 1 or len({*y}) == 1:
        assert spearman(x, y) == kendall(x, y) == 0
        return
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)


def table(*, times_longer=1.0, noise=0.002, rounds=30, **here):
    """A row each of PAPER, measured at `times_longer` its time, `here` at other factors."""
    rows = []
    for i, (name, ms) in enumerate(PAPER.items()):
        base = quiet(4e-3 * times_longer, seed=50 + i, noise=noise, rounds=rounds)
        again = quiet(4e-3 * times_longer, seed=90 + i, noise=noise, rounds=rounds)
        rows.append(
            reproduced(
                name,
                name,
                paper_ms=ms,
                baseline_ms=4.0,
                baseline=replace(base, control_s=again.rounds_s),
                plain=quiet(
                    ms * 1e-3 * times_longer * here.get(name, 1), seed=i, noise=noise, rounds=rounds
                ),
                rewritten=None,
                as_printed_s=[0.001, 0.003],
            )
        )
    return rows


def test_a_machine_twice_as_slow_agrees():
    rows = table(times_longer=2)
    assert all(row.off[1] <= 1 <= row.off[2] for row in rows[1:])
    assert rows[2].as_printed_ms == pytest.approx(2)
    found = summary(rows)
    assert (found.spearman[0], found.kendall[0]) == pytest.approx((1, 1))
    assert found.error < 0.01
    assert found.factor == pytest.approx(2, rel=0.01)
    assert found.spread < 0.01
    assert not found.too_noisy
    assert not any(row.far_off for row in rows)


def test_a_row_that_is_off_is_seen_and_costs_its_share():
    rows = table(c=1.5, d=0.4)  # d becomes faster than c
    assert [row.row for row in rows if row.far_off] == ["c", "d"]
    assert rows[3].off[0] == pytest.approx(1.5, rel=0.01)
    found = summary(rows)
    assert found.spearman[0] == pytest.approx(0.9)
    assert found.error == pytest.approx(np.exp((np.log(1.5) - np.log(0.4)) / 4) - 1, rel=0.02)
    assert found.furthest == "d"
    assert found.rest_spearman == pytest.approx(1)
    assert found.rest_error == pytest.approx(1.5 ** (1 / 3) - 1, rel=0.05)


def test_a_machine_that_differs_from_itself_gives_no_verdict():
    found = summary(table(noise=0.2, rounds=6))
    assert found.too_noisy
    (said,) = map(str, _said(found))
    assert said.startswith(
        "no verdict: this machine is too noisy; against itself the baseline came"
    )
    assert f"±{found.noise:.1%}" in said
    assert "ρ" not in said


def test_few_rows_have_no_rank():
    assert summary(table()[:3]) is None
