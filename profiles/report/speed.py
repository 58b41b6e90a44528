"""A session of runs in a report: its context, times, ratios, and accuracy where it is known."""

from collections.abc import Sequence
from html import escape

from edgevit.profiles.run import Run

from .bars import Bar, bars
from .cells import Column, html
from .contents import Session
from .scatter import Point, scatter
from .summary import ARTIFACT
from .table import NUMBERS
from .timeline import timeline

MOST = 40  # bars in a plot; the tables hold all
COLUMNS: tuple[Column, ...] = (
    ARTIFACT,
    ("runtime", "runtime", ""),
    *((key, heading.replace("\n", " "), form) for key, heading, form in NUMBERS),
    ("verdict", "against the base", ""),
)


def of_session(session: Session, number: int) -> str:
    """HTML of one session."""
    name = f"Session {number}"
    fastest = sorted(session.rows, key=lambda row: row["median_ms"])[:MOST]
    cut = f", the {MOST} fastest of {len(session.rows)}" if len(session.rows) > MOST else ""
    times = [
        Bar(
            row["artifact"],
            row["median_ms"],
            row["p10_ms"],
            row["p90_ms"],
            f"{row['median_ms']:.4g} ms",
            f"{row['artifact']}: median {row['median_ms']:.4g} ms, 80 % of the samples from "
            f"{row['p10_ms']:.4g} to {row['p90_ms']:.4g} ms",
        )
        for row in fastest
    ]
    parts = [f"<h3>{name}: {escape(_machine(session.runs[0]))}</h3>", _context(session)]
    parts.append(f"<p>Time of one inference{cut}; the line spans 80 % of the samples.</p>")
    said = "the table below holds the numbers"
    parts.append(bars(times, title=f"{name}: times", described=f"Median times; {said}", unit=" ms"))
    base, compared = session.runs[0].name, [row for row in fastest if row["speed"]]
    if compared:
        parts.append(f"<p>Speed relative to {escape(base)} with its 95 % interval{cut}.</p>")
        ratios = [
            Bar(
                row["artifact"],
                row["speed"],
                row["speed_low"],
                row["speed_high"],
                f"{row['speed_text']}",
                f"{row['artifact']}: {row['speed_text']}, {row['verdict']}",
            )
            for row in compared
        ]
        what = f"Speed relative to {base}; {said}"
        parts.append(bars(ratios, title=f"{name}: ratios", described=what, unit="×", base=1))
    parts.append(html(f"{name}: runs", COLUMNS, session.rows))
    parts.append(timeline(session.runs, title=f"{name}: latency over time"))
    known = [
        Point(row["artifact"], row["median_ms"], row["paper_top1_pct"])
        for row in fastest
        if row.get("paper_top1_pct") is not None
    ]
    if known:
        title = f"{name}: accuracy and latency"
        parts.append(scatter(known, title=title, x="median ms", y="paper's top-1 %"))
    return "\n".join(parts)


def _machine(run: Run) -> str:
    c = run.context
    return f"{c.cpu}, {c.threads} thread{'s' * (c.threads != 1)}"


def _context(session: Session) -> str:
    """What all runs of the session share, and the runtimes they ran in."""
    run = session.runs[0]
    c = run.context
    runtimes = {f"{r.context.runtime} {r.context.runtime_version}": None for r in session.runs}
    words = {
        "device": f"{c.device}, {c.host}",
        "system": c.os,
        "CPU": f"{c.cpu} ({c.family})",
        "CPU flags": " ".join(map(str, c.flags)),
        "threads": f"{c.threads} of {c.cores} cores",
        "rounds": str(len(run.rounds_s)),
        "fp32 peak": _best(run.bracket_macs_per_s),
        "int8 peak": _best(run.bracket_int8_macs_per_s),
        "runtimes": ", ".join(runtimes),
        "edgevit": f"{c.edgevit}, Python {c.python}, numpy {c.numpy}",
        "started": run.started,
    }
    items = "".join(f"<dt>{k}</dt><dd>{escape(str(v))}</dd>" for k, v in words.items() if v)
    return f"<details><summary>Context</summary><dl>{items}</dl></details>"


def _best(bracket: Sequence[float]) -> str:
    return f"{max(bracket) / 1e9:.3g} GMAC/s" if bracket else ""
