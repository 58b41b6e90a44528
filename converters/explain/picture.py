"""The graph as a picture: one page with the drawing inside, and nothing else to load.

    ┌ partition 0 ─────────────┐   boxes: partitions in order of execution; large ones list kinds
    └──────────────────────────┘   chips: operators outside, redder with their share
     expand_copy  layer_norm       the bar at the right: estimated share of the time
    ┌ partition 1 ─────────────┐

Without a delegate all operators are chips, in order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from edgevit.page import page as skeleton
from edgevit.staging import write_text

from .cost import ESTIMATE
from .explanation import Explanation, Node

WIDTH, BAR, GAP = 760, 200, 12  # px: of a box, of the bars beside it, between rows
CHIP, LETTER = 26, 7.0  # px: height of a chip, width of a letter in it
LARGE, KINDS = 0.15, 8  # a partition with so large a share shows where in it the time goes
STYLE = """
svg { width: 100%; height: auto; margin-top: .6rem }
.in { fill: var(--box); stroke: var(--edge); stroke-width: 1.2 }
.out { stroke-width: 1 } .out-t { fill: #3a1408; font-size: 12px }
.small { font-size: 11.5px }
.bar { fill: var(--edge) } .hot { fill: #d6604d } .wire { stroke: var(--soft); stroke-width: 1.2 }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin: 0 .3em 0 1em }
"""


@dataclass
class Drawing:
    """Marks so far, and the height they take."""

    marks: list[str]
    y: float = 4.0

    def add(self, mark: str) -> None:
        self.marks.append(mark)


def write(file: Path, found: Explanation) -> Path:
    write_text(file, page(found))
    return file


def page(found: Explanation) -> str:
    """The whole page."""
    drawn, summary = drawing(found), found.summary.replace("≈ ", "≈\u00a0")
    keys = (
        '<span class="key" style="background:var(--edge)"></span>in the delegate'
        '<span class="key" style="background:#e8785a"></span>outside it, redder where it takes '
        "longer; bars: ≈ share of the time. Hover for shapes, reasons and rewrites."
        if found.delegate
        else '<span class="key" style="background:#e8785a"></span>redder where it takes longer. '
        "Hover for shapes and modules."
    )
    notes = "".join(f"<p>note: {escape(remark)}</p>" for remark in found.remarks)
    said = f"<p>{escape(found.said)} {escape(ESTIMATE)}.</p>{notes}<p>{keys}</p>"
    return skeleton(f"{found.file}: {summary}", (said, drawn), style=STYLE)


def drawing(found: Explanation) -> str:
    """The <svg>."""
    d = Drawing([])
    hottest = max((found.share(n) for n in found.nodes if n.partition is None), default=0.0)
    runs = [(p, list(nodes)) for p, nodes in groupby(found.nodes, key=lambda n: n.partition)]
    largest = max((found.share(*nodes) for _, nodes in runs), default=0.0) or 1.0
    for i, (partition, nodes) in enumerate(runs):
        if i:
            d.add(_line(d.y - GAP, d.y))
        top, share = d.y, found.share(*nodes)
        if partition is None:
            _chips(d, nodes, found, hottest or 1.0)
        else:
            _box(d, partition, nodes, found)
        kind = "hot" if partition is None and found.delegate else "bar"
        if found.delegate:
            _bar(d, top, share, share / largest, kind)
        d.y += GAP
    width, height = WIDTH + (BAR + 70 if found.delegate else 4), d.y
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'aria-label="{escape(found.summary)}">{"".join(d.marks)}</svg>'
    )


def _box(d: Drawing, index: int, nodes: list[Node], found: Explanation) -> None:
    kinds: dict[str, list[Node]] = {}
    for n in nodes:
        kinds.setdefault(n.op, []).append(n)
    share = found.share(*nodes)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    every = ", ".join(f"{len(alike)} {op}" for op, alike in ordered)
    slowest = sorted(kinds.items(), key=lambda item: -found.share(*item[1]))
    detailed = slowest[:KINDS] if share >= LARGE else []
    height = 46 + 19 * len(detailed) + (6 if detailed else 0)
    title = f"partition {index}: {len(nodes)} nodes, ≈ {share:.1%}\n{every}"
    d.add(f'<g><title>{escape(title)}</title><rect class="in" x="1" y="{d.y:.1f}" ')
    d.add(f'width="{WIDTH}" height="{height:.1f}" rx="8"/>')
    nodes_said = f"{len(nodes)} node{'s' * (len(nodes) != 1)}"
    d.add(_text(14, d.y + 19, f"partition {index} · {nodes_said}", bold=True))
    d.add(_text(14, d.y + 37, _cut(every, (WIDTH - 30) / 6.2), kind="small"))
    for row, (op, alike) in enumerate(detailed):
        part, y = found.share(*alike), d.y + 48 + 19 * row
        length = max(1.0, (WIDTH - 330) * part / share)
        d.add(_text(14, y + 11, _cut(f"{len(alike)} {op}", 34), kind="small"))
        d.add(
            f'<rect class="bar" x="240" y="{y + 2:.1f}" rx="2" width="{length:.1f}" height="10"/>'
        )
        d.add(_text(246 + length, y + 11, f"{part:.1%}", kind="small"))
    d.add("</g>")
    d.y += height


def _chips(d: Drawing, nodes: Iterable[Node], found: Explanation, hottest: float) -> None:
    """Operators outside in rows, like words in a paragraph."""
    x = 18.0
    for n in nodes:
        width = len(n.op) * LETTER + 18
        if x + width > WIDTH and x > 18:
            x, d.y = 18.0, d.y + CHIP + 5
        share = found.share(n)
        words = [f"{n.op} [{', '.join(map(str, n.shape))}], ≈ {share:.2%}", n.module, n.reason]
        if n.reason:
            words.append("rewrite: " + (" or ".join(n.cures) or "none known"))
        fill, edge = _heat(share / hottest)
        title = escape("\n".join(filter(None, words)))
        d.add(
            f'<g><title>{title}</title><rect class="out" x="{x:.1f}" y="{d.y:.1f}" rx="13" '
            f'width="{width:.1f}" height="{CHIP}" fill="{fill}" stroke="{edge}"/>'
            f"{_text(x + 9, d.y + 17, n.op, kind='out-t')}</g>"
        )
        x += width + 6
    d.y += CHIP


def _bar(d: Drawing, top: float, share: float, part: float, kind: str) -> None:
    middle = (top + d.y) / 2
    d.add(
        f'<rect class="{kind}" x="{WIDTH + 14}" y="{middle - 6:.1f}" rx="2" '
        f'width="{max(1.0, BAR * part):.1f}" height="12"/>'
    )
    said = f"{share:.1%}" if share >= 0.001 else "< 0.1%"
    d.add(_text(WIDTH + 20 + max(1.0, BAR * part), middle + 4, said, kind="small"))


def _heat(part: float) -> tuple[str, str]:
    """Fill and edge for 0 (pale) to 1 (red)."""
    low, high = (253, 226, 205), (226, 94, 70)
    r, g, b = (round(a + (z - a) * min(1.0, part)) for a, z in zip(low, high, strict=True))
    return f"rgb({r},{g},{b})", f"rgb({r - 40},{max(0, g - 60)},{max(0, b - 60)})"


def _line(top: float, bottom: float) -> str:
    return f'<line class="wire" x1="40" x2="40" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _text(x: float, y: float, words: str, *, kind: str = "", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{weight}>{escape(words)}</text>'


def _cut(words: str, letters: float) -> str:
    return words if len(words) <= letters else words[: int(letters) - 1].rstrip(", ") + " …"
