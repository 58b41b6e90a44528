"""Papers' tables as data: a CSV of rows and a TOML of provenance each, found by file name."""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.lookup import lookup

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Table:
    """columns: name → what it means and its unit. rows: numbers where the cell is one, None empty.

    baseline: the row that ratios go by. protocol, source: how the numbers were taken, and whence.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    protocol: str
    source: str
    baseline: str
    note: str
    rows: tuple[dict[str, Any], ...]


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.csv"))


def load(name: str) -> Table:
    """The table called `name`; UnknownName lists what there is."""
    lookup("table", name, dict.fromkeys(names()))
    said = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = tuple({k: _cell(v) for k, v in row.items()} for row in csv.DictReader(file))
    return Table(
        name,
        said["title"],
        said.get("columns", {}),
        said.get("protocol", ""),
        said.get("protocol_source", ""),
        said.get("baseline_row", ""),
        said.get("note", ""),
        rows,
    )


def _cell(text: str) -> Any:
    try:
        return float(text) if text else None
    except ValueError:
        return text
