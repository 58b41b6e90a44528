"""Numbered points over two axes, as SVG, and a table that says what the numbers stand for.

Names beside the points would cover one another, and on a phone each other point; the table holds
the same values for those who do not see the plot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .axis import Axis
from .bars import figure
from .cells import Column, html

HEIGHT, BOTTOM = 340, 300  # px
LEFT, RIGHT = 10, 96  # percent
LOG_FROM = 4  # values that span more are drawn on a logarithmic axis


@dataclass(frozen=True)
class Point:
    """low, high: the interval of y."""

    name: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


def scatter(
    points: Sequence[Point], *, title: str, x: str, y: str, same: bool = False, log: bool = False
) -> str:
    """The <svg> and its table; x and y name the axes with their units.

    log: both axes. same: one scale for both, with the line where they are equal.
    """
    across = [p.x for p in points]
    up = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    if same:
        across = up = across + up
    log_x = log or max(across) > LOG_FROM * min(across) > 0
    x_axis = Axis.around(across, left=LEFT, right=RIGHT, log=log_x)
    y_axis = Axis.around(up, left=BOTTOM, right=22, log=log)
    marks = [f'<text x="0" y="12">{escape(y)}</text>']
    for tick in x_axis.ticks:
        at = x_axis.at(tick)
        marks.append(f'<line class="grid" x1="{at:.2f}%" x2="{at:.2f}%" y1="22" y2="{BOTTOM}"/>')
        marks.append(_text(f"{at:.2f}%", BOTTOM + 15, f"{tick:.4g}", "middle"))
    for tick in y_axis.ticks:
        at = y_axis.at(tick)
        marks.append(f'<line class="grid" x1="{LEFT}%" x2="{RIGHT}%" y1="{at:.1f}" y2="{at:.1f}"/>')
        marks.append(_text(f"{LEFT - 1}%", at + 4, f"{tick:.4g}", "end"))
    if same:
        marks.append(f'<line class="zero" x1="{LEFT}%" x2="{RIGHT}%" y1="{BOTTOM}" y2="22"/>')
    for number, p in enumerate(points, 1):
        marks.append(_point(p, number, x_axis, y_axis))
    marks.append(f'<text x="{RIGHT}%" y="{HEIGHT - 6}" text-anchor="end">{escape(x)}</text>')
    said = f"{y} over {x} for {len(points)} points; the table below holds the values"
    columns: list[Column] = [("name", "name", ""), ("number", "point", "{}")]
    columns += [("x", x, "{:.4g}"), ("y", y, "{:.4g}")]
    columns += [("low", "low", "{:.4g}"), ("high", "high", "{:.4g}")]
    rows = [{"number": number, **vars(p)} for number, p in enumerate(points, 1)]
    return figure(title, said, marks, height=HEIGHT) + html(f"{title}: values", columns, rows)


def _point(p: Point, number: int, x_axis: Axis, y_axis: Axis) -> str:
    x, y = f"{x_axis.at(p.x):.2f}%", y_axis.at(p.y)
    interval = ""
    if p.low is not None and p.high is not None:
        ends = f'y1="{y_axis.at(p.low):.1f}" y2="{y_axis.at(p.high):.1f}"'
        interval = f'<line class="interval" x1="{x}" x2="{x}" {ends}/>'
    return (
        f"<g><title>{escape(p.name)}: {p.x:.4g}, {p.y:.4g}</title>{interval}"
        f'<circle class="dot" cx="{x}" cy="{y:.1f}" r="10"/>'
        f'<text class="number" x="{x}" y="{y + 4:.1f}" text-anchor="middle">{number}</text></g>'
    )


def _text(x: str, y: float, words: str, anchor: str) -> str:
    return f'<text class="tick" x="{x}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
