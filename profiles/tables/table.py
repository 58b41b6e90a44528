"""Tables that others published, as data: a CSV of rows beside a TOML that says where they are from.

    efficientmod.csv     one row a model, units in the names of the columns
    efficientmod.toml    title, source, protocol, [columns], baseline, note, [disagreements]

No number of a paper stands in code.
"""

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edgevit.lookup import lookup

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(file.stem for file in FOLDER.glob("*.csv")))
PUBLISHED = "published, not measured here"

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """rows: the text as printed, since its digits count; empty where nothing is said.

    columns: name → what it holds. baseline: what ratios are taken to. device: where no column says
    it. disagreements: model → why our counts differ from the row's. here: row → what stands for it.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    protocol: str
    source: str
    rows: tuple[Row, ...]
    baseline: str = ""
    note: str = ""
    device: str = ""
    disagreements: Mapping[str, str] = field(default_factory=dict)
    here: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[str, ...]:
        named = dict.fromkeys(row.get("device", "") for row in self.rows)
        return tuple(name for name in named if name) or (self.device,)


@cache
def load(name: str) -> Table:
    """The table called `name`; UnknownName where there is none."""
    file = lookup("table", name, {known: FOLDER / f"{known}.csv" for known in NAMES})
    said = tomllib.loads(file.with_suffix(".toml").read_text(encoding="utf-8"))
    with file.open(encoding="utf-8", newline="") as lines:
        rows = tuple(csv.DictReader(lines))
    return Table(name, rows=rows, **said)
