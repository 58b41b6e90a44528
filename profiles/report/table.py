"""Runs as rows: dictionaries of numbers for programs, a rich Table for people.

The first run is the base of all ratios. Doubts stand below the table, one line each, so that no
number is read without them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from edgevit.errors import EdgevitError, InputError
from edgevit.profiles.compare import Ratio, control, ratio
from edgevit.profiles.run import Run
from edgevit.profiles.stability import doubts

WORDS = ("artifact", "runtime", "placement")
# Key of the row, heading, format; in the order of the columns.
NUMBERS = (
    ("median_ms", "median\nms", "{:.4g}"),
    ("p90_ms", "p90\nms", "{:.4g}"),
    ("spread_pct", "spread\n%", "{:.1f}"),
    ("first_run_ms", "first\nms", "{:.4g}"),
    ("load_ms", "load\nms", "{:.4g}"),
    ("peak_memory_mb", "peak\nMB", "{:.0f}"),
    ("gmacs_per_s", "GMAC\n/s", "{:.1f}"),
    ("peak_pct", "% of\npeak", "{:.0f}"),
)
WIDE = 100  # columns of a terminal that holds everything; below, these make room
LESS_NEEDED = frozenset(("p90_ms", "first_run_ms", "load_ms", "peak_memory_mb"))

Result = Run | EdgevitError


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One dictionary per result; units are in the keys, None is what cannot be known.

    Times in ms, memory in MB (10⁶ bytes), rates in 10⁹ MAC/s, `peak_pct` of the measured peak.
    A failed artifact has only `artifact` and `error`.
    """
    base = next((r for r in results if isinstance(r, Run)), None)
    table = []
    for result in results:
        if isinstance(result, Run) and base:
            table.append(_row(result, base))
        else:
            table.append({"artifact": str(result).partition(":")[0], "error": str(result)})
    return table


def rich_table(results: Sequence[Result], *, width: int = 120) -> Table:
    """The rows for a terminal `width` columns wide; the caption holds failures and doubts.

    A narrow terminal gets fewer numbers.
    """
    wide = width >= WIDE
    table = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.caption_justify, table.caption_style = "left", "default"
    numbers = [n for n in NUMBERS if wide or n[0] not in LESS_NEEDED]
    table.add_column("artifact, runtime, placement", overflow="fold")
    for _, heading, _ in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("speed relative\nto the first", justify="right", no_wrap=True)
    table_rows = rows(results)
    for row in table_rows:
        if "error" in row:
            continue
        cells = [form.format(row[key]) if row[key] is not None else "–" for key, _, form in numbers]
        what = f"{row['artifact']}\n  {row['runtime']}, {row['placement']}"
        table.add_row(Text(what), *cells, row["speed_text"])
    below = [Text(f"✗ {row['error']}", style="red") for row in table_rows if "error" in row]
    for row in table_rows:
        if row.get("control_text"):
            said = f"A/A: {row['artifact']} against itself, loaded once more: {row['control_text']}"
            below.append(Text(said, style="dim"))
    below += [Text(f"? {line}", style="yellow") for line in doubt_lines(table_rows)]
    if below:
        table.caption = Text("\n").join(below)
    return table


def there(run: Run) -> list[str]:
    """On which device a session was, and its state before and after, as far as it shows it."""
    c = run.context
    lines = [f"on {c.device}, {c.os}, threads: {c.threads}, cores: {c.cores}"]
    for when, state in zip(("before", "after"), (*run.state[:1], *run.state[-1:]), strict=False):
        shown = {k: v for k, v in state.items() if k != "seconds"}
        if said := ", ".join(f"{k} {_short(v)}" for k, v in shown.items()):
            lines.append(f"{when}: {said}")
    return lines


def _short(value: object) -> str:
    return f"{value:.4g}" if type(value) is float else str(value)


def doubt_lines(table_rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per kind of doubt: what was seen of which artifacts, why it matters, a cure."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for row in table_rows:
        for doubt in row.get("doubts", ()):
            seen = kinds.setdefault(f"{doubt['why']}; {doubt['cure']}", {})
            seen.setdefault(doubt["seen"], []).append(row["artifact"])
    lines = [
        "; ".join(f"{', '.join(names)}: {what}" for what, names in seen.items()) + f" – {so}"
        for so, seen in kinds.items()
    ]
    return lines + [row["not_comparable"] for row in table_rows if row.get("not_comparable")]


def _row(run: Run, base: Run) -> dict[str, Any]:
    against, refusal = _ratio(base, run)
    rate, fraction = run.macs_per_s, run.fraction_of_peak
    return {
        "artifact": run.name,
        "runtime": f"{run.context.runtime} {run.context.runtime_version}".strip(),
        "precision": run.context.precision,
        "placement": run.context.placement,
        "median_ms": run.median_s * 1e3,
        "p90_ms": run.p90_s * 1e3,
        "spread_pct": run.spread_pct,
        "first_run_ms": run.first_run_s * 1e3,
        "load_ms": run.load_s * 1e3,
        "peak_memory_mb": run.peak_memory_bytes / 1e6 or None,  # 0: another tool's, which says none
        "gmacs_per_s": rate / 1e9 if rate else None,
        "peak_pct": 100 * fraction if fraction else None,
        "speed": against.value if against else None,
        "speed_low": against.low if against else None,
        "speed_high": against.high if against else None,
        "speed_text": str(against) if against else "–",
        "verdict": against.verdict if against else None,
        "control_text": str(twin) if (twin := control(run)) else "",
        "doubts": [vars(doubt) for doubt in doubts(run)],
        "not_comparable": refusal,
    }


def _ratio(base: Run, run: Run) -> tuple[Ratio | None, str]:
    if run is base:
        return None, ""
    try:
        return ratio(base, run), ""
    except InputError as e:
        return None, str(e)
