"""The report as one HTML page: what lies in a folder, where it runs, how fast, how sure.

    artifacts   the main table, which sorts and filters
    speed       per session: its context, times and ratios as bars and as numbers, accuracy
    agreement   every output against float64
    placement   operators outside the delegate
    doubts      of the runs
    cards       all that was checked, folded
    left out    files that are nothing to report

Plots are SVG, so that the page is small, prints, and needs no script to be read.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from edgevit import __version__
from edgevit.page import page
from edgevit.staging import write_text

from .cells import Column, html
from .contents import Contents
from .entry import Entry
from .scatter import Point, scatter
from .speed import of_session
from .summary import ARTIFACT, COLUMNS
from .table import doubt_lines

STYLE, SCRIPT = (
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("report.css", "sortable.js")
)
FILTER = (
    '<div hidden><label for="filter">Filter</label> <input id="filter" type="search" '
    'autocomplete="off"> <span id="count" role="status"></span></div>'
)
AGREEMENT: tuple[Column, ...] = (
    ARTIFACT,
    ("output", "output", ""),
    ("max_error", "max error", "{:.2e}"),
    ("allowed", "allowed", "{:.2e}"),
    ("eager_error", "torch's own", "{:.2e}"),
    ("snr_db", "SNR dB", "{:.1f}"),
    ("cosine", "cosine", "{:.9f}"),
    ("top1_kept_pct", "top-1 %", "{:.0f}"),
    ("fault", "fault", ""),
)
OUTSIDE: tuple[Column, ...] = (
    ARTIFACT,
    ("operator", "operator", ""),
    ("count", "count", "{}"),
    ("cures", "rewrite", ""),
    ("left_alone", "why it was left alone", ""),
)


def write(
    file: Path,
    *,
    contents: Contents,
    title: str,
    against_paper: Sequence[Point] = (),
    accuracy: Sequence[Point] = (),
) -> Path:
    """Write the page to `file`.

    against_paper: latencies of a paper (x) and of this machine (y, low, high) in ms; the first is
    the base, MobileNetV2×1.0 in most papers, and all are shown as multiples of it. accuracy: the
    latter (x) with the paper's top-1 accuracy in percent (y).
    """
    sections = {
        "Papers": _papers(against_paper, accuracy),
        "Artifacts": FILTER + html(_count(contents), COLUMNS, _rows(contents), sortable=True),
        "Speed": "\n".join(
            of_session(session, number) for number, session in enumerate(contents.sessions, 1)
        ),
        "Agreement": _agreement(contents.entries),
        "Placement": _placement(contents.entries),
        "Doubts": _items(doubt_lines([row for s in contents.sessions for row in s.rows])),
        "Cards": "\n".join(_card(entry) for entry in contents.entries),
        "Left out": _items([f"{name}: {why}" for name, why in contents.left_out.items()]),
    }
    filled = {name: text for name, text in sections.items() if text}
    links = " ".join(f'<a href="#{_id(name)}">{name}</a>' for name in filled)
    parts = [f'<nav aria-label="Sections">{links}</nav>']
    for name, text in filled.items():
        parts.append(f'<section aria-labelledby="{_id(name)}"><h2 id="{_id(name)}">{name}</h2>')
        parts.append(f"{text}</section>")
    parts.append(f"<p>edgevit {__version__}</p>")
    write_text(file, page(title, parts, style=STYLE, script=SCRIPT))
    return file


def _id(section: str) -> str:
    return section.lower().replace(" ", "-")


def _rows(contents: Contents) -> list[Mapping[str, object]]:
    """Of the main table; one session needs no number."""
    rows = [entry.row for entry in contents.entries]
    return rows if len(contents.sessions) > 1 else [{**row, "session": None} for row in rows]


def _count(contents: Contents) -> str:
    rows = [entry.row for entry in contents.entries]
    counts = {
        "artifact": len({row["artifact"] for row in rows}),
        "model": len({row["model"] for row in rows if row.get("model")}),
        "run": sum(len(session.runs) for session in contents.sessions),
    }
    return ", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in counts.items() if n)


def _papers(points: Sequence[Point], accuracy: Sequence[Point]) -> str:
    if not points:
        return ""
    base = points[0]
    ratios = [
        Point(
            p.name, p.x / base.x, p.y / base.y, p.low and p.low / base.y, p.high and p.high / base.y
        )
        for p in points
    ]
    x, y = (f"latency {where}, × {base.name}" for where in ("in the paper", "measured"))
    said = "<p>On the line a model is as fast, against the first, as in the paper.</p>"
    plots = [scatter(ratios, title="Latency here and in the paper", x=x, y=y, same=True, log=True)]
    if accuracy:
        title = "The paper's accuracy over latency here"
        plots.append(scatter(accuracy, title=title, x="ms", y="paper's top-1 %"))
    return "\n".join([said, *plots])


def _agreement(entries: Sequence[Entry]) -> str:
    rows = [output for entry in entries for output in entry.outputs]
    return html("Largest difference from the model in float64", AGREEMENT, rows) if rows else ""


def _placement(entries: Sequence[Entry]) -> str:
    rows = [kind for entry in entries for kind in entry.outside]
    if rows:
        said = "edgevit explain FILE says in which modules they are, why, and what they cost."
        return html("Operators outside the delegate", OUTSIDE, rows) + f"<p>{said}</p>"
    known = any(e.row.get("placement") for e in entries)
    return "<p>Nothing is known to run outside a delegate.</p>" if known else ""


def _card(entry: Entry) -> str:
    if entry.words is None:
        return ""
    words = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in entry.words.items()
    )
    name = escape(entry.row["artifact"])
    return f"<details><summary>{name}</summary><dl>{words}</dl></details>"


def _items(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return items and f"<ul>{items}</ul>"
