"""Which rules a runtime gains from, by measurement.

`measured/TARGET.toml` holds, for each rule whose worth depends on the runtime, how many times as
fast the form it emits was, with its interval; `edgevit bench rewrites` writes such a file for the
device it runs on, and `--costs FILE` takes it in place of ours. A rule that nobody has measured is
one that pays everywhere: it removes work.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from edgevit.errors import InputError

from .cases import CASES
from .rule import Rule

FOLDER = Path(__file__).parent / "measured"


@dataclass(frozen=True)
class Costs:
    """measured: what it was measured with. speed: rule → (times as fast, low, high)."""

    measured: dict[str, str] = field(default_factory=dict)
    speed: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Self:
        """InputError where the file is no such table."""
        try:
            table = tomllib.loads(file.read_text())
            speed = {rule: tuple(map(float, row)) for rule, row in table["speed"].items()}
            if any(len(row) != 3 for row in speed.values()):
                raise ValueError("a speed is three numbers: [value, low, high]")
            return cls(dict(table["measured"]), speed)  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
            raise InputError(
                f"{file} is no table of measured rewrites ({e}); `edgevit bench rewrites` makes one"
            ) from None

    @classmethod
    def of(cls, target: str, file: str | None = None) -> Self:
        """The user's `file`, or else the table that comes with edgevit; empty where none does."""
        if file:
            return cls.read(Path(file))
        ours = FOLDER / f"{target}.toml"
        return cls.read(ours) if ours.exists() else cls()

    def as_toml(self) -> str:
        lines = ["[measured]"]
        lines += [f'{key} = "{value}"' for key, value in self.measured.items()]
        lines += ["", "[speed]  # times as fast as without the rule, low and high end of 95 %"]
        lines += [
            f"{rule} = [{', '.join(f'{x:.2f}' for x in row)}]" for rule, row in self.speed.items()
        ]
        return "\n".join(lines) + "\n"

    def pays(self, rule: str) -> bool:
        """Whether it is not known to be slower, and no other form of the same case is faster."""
        _, _, high = self.speed.get(rule, (1.0, 1.0, 1.0))
        return high >= 1 and all(
            self.speed.get(rule, (1.0,)) >= self.speed.get(other, (0.0,))
            for case in CASES
            if rule in case.forms
            for other in case.forms
        )

    def chosen(self, rules: Sequence[Rule]) -> list[Rule]:
        return [rule for rule in rules if self.pays(rule.name)]
