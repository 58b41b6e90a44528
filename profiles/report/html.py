"""One self-contained page: how long each artifact took, how they compare, what is doubtful.

    left    box: quartiles of all samples, whiskers: 10th and 90th percentile, dots: rounds
    right   speed relative to the first run with its interval; the band is ±1 %, which nobody feels
    below   the numbers as a table, then the doubts

plotly's script is inside the page, which needs no network and can be kept beside the runs.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import InputError, MissingRuntime
from edgevit.profiles.compare import MARGIN, Ratio, ratio
from edgevit.profiles.run import Run
from edgevit.staging import write_text

from .table import NUMBERS, WORDS, doubt_lines, rows

COLOURS = {"faster": "#1a9850", "slower": "#d6604d", "indistinguishable": "#8c8c8c"}
BOX, GREY = "#4a90d9", "rgba(128,128,128,0.25)"
# plotly draws text in one colour; the page knows whether the reader's background is dark.
FOLLOW_SCHEME = """
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => Plotly.relayout('{plot_id}', {'font.color': dark.matches ? '#ddd' : '#222'});
dark.addEventListener('change', paint); paint();
"""
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem } .context { opacity: .75; margin-top: 0 }
table { border-collapse: collapse; width: 100%; margin-top: 1rem }
td { font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid rgba(128,128,128,.35) }
th { vertical-align: bottom } .words { text-align: left } .doubts { padding-left: 1.2rem }
.scroll { overflow-x: auto }
"""


def write(
    file: Path,
    *,
    runs: Sequence[Run],
    ratios: Sequence[Ratio | None] | None = None,
    title: str = "How fast each artifact runs",
) -> Path:
    """Write the page to `file`. `ratios` go with `runs`; without them the first run is the base."""
    try:
        import plotly.io
    except ImportError:
        raise MissingRuntime("the page needs plotly: pip install 'edgevit[report]'") from None
    if not runs:
        raise InputError("no runs to show")
    given = [_against(runs[0], run) for run in runs] if ratios is None else list(ratios)
    if len(given) != len(runs):
        raise InputError(f"{len(given)} ratios for {len(runs)} runs; one each, None for the base")
    plot = plotly.io.to_html(
        figure(runs, given),
        full_html=False,
        include_plotlyjs=True,
        config={"displayModeBar": False, "responsive": True},
        post_script=FOLLOW_SCHEME,
    )
    write_text(
        file,
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p class="context">{escape(subtitle(runs))}</p>'
        f"{plot}{_table(runs)}</body></html>\n",
    )
    return file


def figure(runs: Sequence[Run], ratios: Sequence[Ratio | None]) -> Any:
    """The plotly figure; times in ms, ratios without unit."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    labels = _labels(runs)
    page = make_subplots(
        cols=2, shared_yaxes=True, column_widths=[0.6, 0.4], horizontal_spacing=0.03
    )
    shares = [np.percentile(run.samples_s * 1e3, (10, 25, 50, 75, 90)) for run in runs]
    low, q1, median, q3, high = (list(column) for column in np.array(shares).T)
    box = graph_objects.Box(
        y=labels, lowerfence=low, q1=q1, median=median, q3=q3, upperfence=high, width=0.5
    )
    page.add_trace(box.update(orientation="h", marker_color=BOX, hoverinfo="skip"), col=1, row=1)
    for label, run in zip(labels, runs, strict=True):
        blocks = [float(np.median(block)) * 1e3 for block in run.rounds_s]
        dots = graph_objects.Scatter(x=blocks, y=[label] * len(blocks), mode="markers")
        dots.update(marker={"size": 5, "color": BOX, "opacity": 0.45, "line": {"width": 0}})
        hover = f"%{{x:.4g}} ms, round %{{pointNumber}}<extra>{escape(run.name)}</extra>"
        page.add_trace(dots.update(hovertemplate=hover), col=1, row=1)
    for label, against in zip(labels, ratios, strict=True):
        if against:  # the base is the line at 1; what cannot be compared gets no mark
            page.add_trace(_interval(label, against), col=2, row=1)
    page.add_vrect(x0=1 / (1 + MARGIN), x1=1 + MARGIN, fillcolor=GREY, line_width=0, col=2, row=1)
    page.add_vline(x=1, line_width=1, line_color="#8c8c8c", col=2, row=1)
    page.update_xaxes(title_text="time of one inference (ms)", rangemode="tozero", col=1)
    ends = [1.0, *(x for r in ratios if r for x in (r.low, r.high))]
    room = 0.3 * max(max(ends) - min(ends), 0.1)  # for the text over the outermost intervals
    page.update_xaxes(range=[min(ends) - room, max(ends) + room], col=2)
    page.update_xaxes(title_text=f"speed relative to {runs[0].name} (×)", col=2)
    page.update_xaxes(gridcolor=GREY, zerolinecolor=GREY)
    page.update_yaxes(autorange="reversed", automargin=True, gridcolor=GREY)
    return page.update_layout(
        height=190 + 64 * len(runs),
        showlegend=False,
        margin={"t": 20, "r": 20, "b": 60},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#808080"},
    )


def subtitle(runs: Sequence[Run]) -> str:
    """What holds for all runs: machine, threads, rounds, fp32 peak."""
    run = runs[0]
    c = run.context
    cores = f"{c.threads} thread{'s' if c.threads > 1 else ''} of {c.cores} cores"
    words = [f"{c.cpu} ({c.device}, {c.family})", c.os, cores, f"{len(run.rounds_s)} rounds"]
    if run.peak_macs_per_s:
        words.append(f"fp32 peak {run.peak_macs_per_s / 1e9:.3g} GMAC/s")
    return " · ".join([*words, run.started] if run.started else words)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Name, runtime and placement in up to three lines; a number where two would be one row."""
    labels: list[str] = []
    for run in runs:
        c = run.context
        lines = [run.name, f"{c.runtime} {c.runtime_version} · {c.precision}", c.placement]
        label = "<br>".join(escape(line.strip()) for line in lines if line.strip())
        labels.append(label if label not in labels else f"{label} ({len(labels) + 1})")
    return labels


def _interval(label: str, against: Ratio) -> Any:
    from plotly import graph_objects

    error = {"array": [against.high - against.value], "arrayminus": [against.value - against.low]}
    dot = graph_objects.Scatter(x=[against.value], y=[label], mode="markers+text")
    return dot.update(
        error_x={"type": "data", "symmetric": False, "thickness": 2, "width": 6, **error},
        marker={"size": 10, "color": COLOURS[against.verdict]},
        text=[str(against)],
        textposition="top center",
        cliponaxis=False,
        hovertemplate=f"{against}: {against.verdict}<extra></extra>",
    )


def _against(base: Run, run: Run) -> Ratio | None:
    try:
        return None if run is base else ratio(base, run)
    except InputError:  # the page still shows the times; the doubts below say why no ratio
        return None


def _table(runs: Sequence[Run]) -> str:
    heads = "".join(f'<th class="words">{word}</th>' for word in WORDS)
    heads += "".join(f"<th>{heading}</th>" for _, heading, _ in NUMBERS)
    body, table_rows = [], rows(runs)
    for row in table_rows:
        cells = "".join(f'<td class="words">{escape(row[word])}</td>' for word in WORDS)
        for key, _, form in NUMBERS:
            cells += f"<td>{form.format(row[key]) if row[key] is not None else '–'}</td>"
        body.append(f"<tr>{cells}</tr>")
    doubts = [f"<li>{escape(line)}</li>" for line in doubt_lines(table_rows)]
    listed = f'<h2>Doubts</h2><ul class="doubts">{"".join(doubts)}</ul>' if doubts else ""
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{table}</div>{listed}'
