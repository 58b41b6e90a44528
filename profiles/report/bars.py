"""Bars with intervals, one under the other, as SVG.

    efficientmod_xxs.onnx
    ████████████████╪━━           9.913 ms        bar: from the base to the value
    efficientmod_xxs.tflite                       line: the interval
    ██████████████╪━              9.069 ms

A name has the line to itself, so that it fits a phone's screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .axis import Axis

ROW, BAR = 42, 10  # px: of a name with its bar, of the bar
RIGHT = 54  # percent: where the bars end and the numbers begin
LETTERS = 46  # of a name, as many as a phone's screen holds


@dataclass(frozen=True)
class Bar:
    """`said` stands beside the bar, `more` appears on hovering."""

    name: str
    value: float
    low: float
    high: float
    said: str
    more: str = ""


def bars(rows: Sequence[Bar], *, title: str, described: str, unit: str, base: float = 0) -> str:
    """The <svg>; `base` is where bars begin, `described` what they are for those who cannot see."""
    ends = [base, *(end for row in rows for end in (row.low, row.high, row.value))]
    axis = Axis.around(ends, right=RIGHT)
    if min(ends) == base == 0:
        axis = Axis(0, axis.high, right=RIGHT)
    bottom = ROW * len(rows)
    marks = [_tick(axis, tick, unit, bottom) for tick in axis.ticks]
    marks.append(_line(axis.at(base), 0, axis.at(base), bottom, kind="zero"))
    marks += [_bar(axis, row, base, y=ROW * i) for i, row in enumerate(rows)]
    return figure(title, described, marks, height=bottom + 22)


def figure(title: str, described: str, marks: Sequence[str], *, height: int) -> str:
    """An <svg> as wide as the page, in which x is in percent and y in px."""
    name = "".join(c if c.isalnum() else "-" for c in title.lower())
    return (
        f'<svg role="img" aria-labelledby="{name} {name}-is" width="100%" height="{height}">'
        f'<title id="{name}">{escape(title)}</title>'
        f'<desc id="{name}-is">{escape(described)}</desc>{"".join(marks)}</svg>'
    )


def _bar(axis: Axis, row: Bar, base: float, *, y: int) -> str:
    left, right = sorted((axis.at(base), axis.at(row.value)))
    middle = y + 26
    name = row.name if len(row.name) <= LETTERS else f"{row.name[: LETTERS - 1]}…"
    return (
        f"<g><title>{escape(row.more or row.name)}</title>"
        f'<text y="{y + 14}">{escape(name)}</text>'
        f'<rect class="bar" x="{left:.2f}%" width="{right - left:.2f}%" y="{middle - BAR / 2}" '
        f'height="{BAR}"/>'
        f"{_line(axis.at(row.low), middle, axis.at(row.high), middle, kind='interval')}"
        f'<text x="{RIGHT + 2}%" y="{middle + 5}">{escape(row.said)}</text></g>'
    )


def _tick(axis: Axis, tick: float, unit: str, bottom: int) -> str:
    x = axis.at(tick)
    anchor = ' text-anchor="middle"' if x > 1 else ""
    return (
        f"{_line(x, 0, x, bottom, kind='grid')}"
        f'<text class="tick" x="{x:.2f}%" y="{bottom + 16}"{anchor}>{tick:.4g}{unit}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.2f}%" y1="{y1}" x2="{x2:.2f}%" y2="{y2}"/>'
