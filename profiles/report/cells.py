"""Rows of values as a table in HTML or Markdown, by one description of its columns."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Column = tuple[str, str, str]  # key of the row, heading, format of a number or "" for words
Rows = Sequence[Mapping[str, Any]]


def html(caption: str, columns: Sequence[Column], rows: Rows, *, sortable: bool = False) -> str:
    """A <table> that scrolls by itself; the first column heads the rows.

    Columns without any value are left away. sortable: the page's script makes it so.
    """
    columns = used(columns, rows)
    heads = "".join(
        f'<th scope="col"{_kind(form)}>{escape(heading)}</th>' for _, heading, form in columns
    )
    body = []
    for row in rows:
        first, *others = [
            f"{_kind(form)}>{escape(shown(row.get(key), form))}" for key, _, form in columns
        ]
        cells = "".join(f"<td{cell}</td>" for cell in others)
        body.append(f'<tr><th scope="row"{first}</th>{cells}</tr>')
    said, kind = escape(caption), ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{said}">'
        f"<table{kind}><caption>{said}</caption><thead><tr>{heads}</tr></thead>\n<tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table></div>"
    )


def markdown(columns: Sequence[Column], rows: Rows) -> str:
    """A table as GitHub and most others read it."""
    columns = used(columns, rows)
    lines = [[heading for _, heading, _ in columns]]
    lines.append([":-" if not form else "-:" for _, _, form in columns])
    lines += [[_plain(shown(row.get(key), form)) for key, _, form in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def used(columns: Sequence[Column], rows: Rows) -> list[Column]:
    """The columns in which some row has a value."""
    return [column for column in columns if any(row.get(column[0]) is not None for row in rows)]


def shown(value: Any, form: str) -> str:
    """What stands in a cell; – for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, float) and math.isinf(value):
        return "∞"
    return form.format(value) if form else str(value)


def _kind(form: str) -> str:
    return ' class="number"' if form else ""


def _plain(words: str) -> str:
    return " ".join(words.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
