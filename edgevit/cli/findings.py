"""The table of a Lint: which rules a file breaks, where, who says so, and what cures that."""

import re
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .tables import table_of

if TYPE_CHECKING:
    from ..converters.lint import Lint

KINDS = 4  # of operators that are named


def parts(found: "Lint", *, verbose: bool) -> list[Table | Text]:
    """verbose: every module and every source in full, instead of the first of each."""
    from ..converters.lint.findings import SAID

    shown: list[Table | Text] = [
        Text(f"{found.file}: {found.summary}", "bold"),
        Text(f"{found.rules.title}, by rules from its makers and its users.", "dim"),
    ]
    if found.findings:
        shown.append(_table(found, verbose=verbose))
    if found.rules.doubt:
        shown.append(Text(f"note: {found.rules.doubt}", "yellow"))
    return [*shown, Text(SAID, "dim")]


def _table(found: "Lint", *, verbose: bool) -> Table:
    paths = any(f.modules for f in found.findings)
    table = table_of(
        ("rule", "left", 0),
        ("operators", "left", 4),
        *([("module", "left", 3)] if paths else []),
        ("confidence", "left", 3),
        ("what is said", "left", 6),
        ("source", "left", 4),
        ("cure", "left", 5),
    )
    for f in found.findings:
        rule = f.rule
        ops = [f"{n} {op}" for op, n in f.ops.items()] or ["the inputs"]
        kinds = len(ops) - KINDS
        ops = [*ops[:KINDS], f"{kinds} other kinds"] if kinds > 1 and not verbose else ops
        shown = f.modules if verbose else f.modules[:1]
        more = len(f.modules) - len(shown)
        module = ", ".join(shown) + (f" and {more} more" if more else "")
        effect = {"numbers": ", other numbers", "advice": ", advice"}.get(rule.effect, "")
        sources = rule.source if verbose else [short(rule.source[0])]
        cure = " or ".join((*rule.cures, *([rule.instead] if rule.instead else [])))
        table.add_row(
            rule.name,
            ", ".join(ops),
            *([module or "–"] if paths else []),
            rule.confidence + effect,
            rule.says,
            ", ".join(sources),
            cure or "none known",
        )
    return table


def short(source: str) -> str:
    """ "LiteRT#9191" of "google-ai-edge/LiteRT#9191"; of an address, its site and its last part."""
    if not source.startswith("https://"):
        return source.rpartition("/")[2] if re.search(r"#\d+$", source) else source
    site, *path = source.removeprefix("https://").split("/")
    return f"{site} … {path[-1].partition('.')[0]}"
