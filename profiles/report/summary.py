"""The main table of a report, a line per artifact and run: its columns, as Markdown, as CSV."""

import csv
import io
import math
from typing import Any

from .cells import Column, markdown
from .contents import Contents

ARTIFACT: Column = ("artifact", "artifact", "")
COLUMNS: tuple[Column, ...] = (
    ARTIFACT,
    ("model", "model", ""),
    ("target", "target", ""),
    ("precision", "precision", ""),
    ("size_mb", "MB", "{:.1f}"),
    ("placement", "placement", ""),
    ("max_error", "max error", "{:.1e}"),
    ("allowed", "allowed", "{:.1e}"),
    ("snr_db", "SNR dB", "{:.0f}"),
    ("top1_kept_pct", "top-1 %", "{:.0f}"),
    ("agreement", "against float64", ""),
    ("paper_top1_pct", "paper's top-1 %", "{:.1f}"),
    ("session", "session", "{}"),
    ("median_ms", "median ms", "{:.4g}"),
    ("range_ms", "80 % of samples", "{}"),
    ("speed_text", "speed", "{}"),
)
# What programs get: the same, with numbers for the words of the last two.
FIELDS = (
    *(key for key, _, _ in COLUMNS[:-2]),
    *("p10_ms", "p90_ms", "speed", "speed_low", "speed_high", "verdict", "runtime", "threads"),
)


def as_markdown(contents: Contents) -> str:
    """The table, and the files that were left out."""
    text = markdown(COLUMNS, [entry.row for entry in contents.entries])
    left_out = "".join(f"- {name}: {why}\n" for name, why in contents.left_out.items())
    return text + "\n" + (left_out and f"\nLeft out:\n\n{left_out}")


def plain(contents: Contents) -> list[dict[str, Any]]:
    """All FIELDS, unrounded, for programs; None for what nobody knows, or is infinite."""
    rows = [{field: entry.row.get(field) for field in FIELDS} for entry in contents.entries]
    return [{k: None if v in (math.inf, -math.inf) else v for k, v in r.items()} for r in rows]


def as_csv(contents: Contents) -> str:
    """The values of `plain`."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(contents))
    return stream.getvalue()
