"""Latency over time as SVG, a line for each run, and in words its first and last minute."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from edgevit.profiles.run import Run
from edgevit.profiles.sustained import in_words, over_time

from .axis import Axis
from .bars import figure

HEIGHT, BOTTOM, TOP = 300, 260, 22  # px
LEFT, RIGHT = 10, 96  # percent
MOST = 150  # pieces of a line
STROKES = ("", "8 4", "2 3", "12 4 2 4")  # so that lines are told apart without colours


def timeline(runs: Sequence[Run], *, title: str) -> str:
    """The <svg>, and beneath it what it shows in words; "" for runs of less than two minutes."""
    lines = [(run.name, over_time(run)) for run in runs if in_words(run)]
    if not lines:
        return ""
    moments = [m for _, line in lines for m in line]
    x = Axis(0, max(m.minutes for m in moments), left=LEFT, right=RIGHT)
    y = Axis.around([0.0, *(m.ms for m in moments)], left=BOTTOM, right=TOP)
    marks = ['<text x="0" y="12">ms</text>']
    for tick in x.ticks:
        at = f"{x.at(tick):.2f}%"
        marks.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{BOTTOM}"/>')
        marks.append(f'<text class="tick" x="{at}" y="{BOTTOM + 15}">{tick:.4g}</text>')
    for tick in y.ticks:
        up = f"{y.at(tick):.1f}"
        marks.append(f'<line class="grid" x1="{LEFT}%" x2="{RIGHT}%" y1="{up}" y2="{up}"/>')
        marks.append(f'<text class="tick" x="0" y="{up}">{tick:.4g}</text>')
    for number, (name, line) in enumerate(lines):
        dashes = STROKES[number % len(STROKES)]
        marks.append(f"<g><title>{escape(name)}</title>")
        for a, b in pairwise([*line[:: -(-len(line) // MOST)], line[-1]]):
            marks.append(
                f'<line class="interval" stroke-dasharray="{dashes}" '
                f'x1="{x.at(a.minutes):.2f}%" y1="{y.at(a.ms):.1f}" '
                f'x2="{x.at(b.minutes):.2f}%" y2="{y.at(b.ms):.1f}"/>'
            )
        up = f"{y.at(line[-1].ms) - 6:.1f}"
        marks.append(f'<text x="{RIGHT}%" y="{up}" text-anchor="end">{escape(name)}</text></g>')
    marks.append(f'<text x="{RIGHT}%" y="{HEIGHT - 6}" text-anchor="end">minutes</text>')
    said = [words for run in runs if (words := in_words(run))]
    items = "".join(f"<li>{escape(line)}</li>" for line in said)
    return figure(title, "; ".join(said), marks, height=HEIGHT) + f"<ul>{items}</ul>"
