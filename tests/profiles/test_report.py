import io

import pytest
from known_runs import quiet
from rich.console import Console

from edgevit.errors import ChildDied
from edgevit.profiles.compare import ratio
from edgevit.profiles.report.table import doubt_lines, rich_table, rows

PEAK = (1e11, 1.01e11)
BASE = quiet(0.010, name="repvit_m1", macs=10**8, bracket=PEAK)
FAST = quiet(
    0.008, name="repvit_m1 <small>", macs=10**8, bracket=PEAK, runtime="executorch", seed=1
)
NOISY = quiet(0.012, name="noisy", noise=0.1, precision="int8", seed=2)
DEAD = ChildDied("broken: the process died of SIGSEGV in block")


def shown(results, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(rich_table(results, width=width))
    return console.file.getvalue()


def test_rows_hold_the_numbers_with_their_units():
    base, fast, dead = rows([BASE, FAST, DEAD])
    assert base["median_ms"] == pytest.approx(BASE.median_s * 1e3)
    assert base["peak_pct"] == pytest.approx(100 * BASE.fraction_of_peak)
    assert base["peak_memory_mb"] == 12
    assert base["speed"] is None
    assert fast["speed"] == pytest.approx(ratio(BASE, FAST).value)
    assert fast["verdict"] == "faster"
    assert fast["runtime"] == "executorch 1.24.0"
    assert dead == {"artifact": "broken", "error": str(DEAD)}


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_and_keeps_its_digits(width):
    text = shown([BASE, FAST, NOISY, DEAD], width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "1.25×" in text  # with its interval beside it
    assert f"{FAST.median_s * 1e3:.4g}" in text
    assert "the process died of SIGSEGV" in text
    assert "the middle half of the samples" in " ".join(text.split())


def test_unlike_runs_are_shown_without_ratio():
    other = quiet(name="two threads", threads=2, cores_used=2.0)
    text = " ".join(shown([BASE, other], 120).split())
    assert "cannot be compared, they differ in threads (1 / 2)" in text


def test_only_failures_make_a_table_too():
    assert "SIGSEGV" in shown([DEAD], 80)


def test_a_doubt_shared_by_all_is_one_line():
    slowed = [quiet(name=name, bracket=(1e11, 0.8e11)) for name in ("first", "second")]
    assert [line[:38] for line in doubt_lines(rows(slowed))] == [
        "first, second: the machine's own peak "
    ]
