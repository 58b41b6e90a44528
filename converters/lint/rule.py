"""A rule: what it looks for in a graph, what that means, and who says so.

    [rule.broadcast-to]
    ops = ["BROADCAST_TO"]              # what it looks for; all that is said must hold
    says = "it refuses BROADCAST_TO at any rank"
    source = ["google-ai-edge/LiteRT#9191"]
    confidence = "certain"
    cures = ["repeat_by_cat"]           # rewrites that remove it; instead = what to do by hand

confidence: certain, refused by software that was read or run; documented, said by who makes the
accelerator or its runtime; reported, seen by others. effect: off, it does not run there; numbers,
it may compute wrong ones; advice, it runs, but not as well as it could.
"""

import tomllib
from dataclasses import dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any, Self

from edgevit.errors import InputError

from ..explain.explanation import Explanation, Node

CONFIDENCE = ("certain", "documented", "reported")
EFFECTS = ("off", "numbers", "advice")


@dataclass(frozen=True)
class Pattern:
    """What a rule looks for in a node; None and () ask for nothing.

    ops, not_ops, dtype: of the node. rank, rank_over: of any tensor that it reads or computes,
    without constants. input_rank_under: of any it reads. reads, then: any of Node.reads, Node.then.
    flexible: how the file declares its inputs. last_axis: its length, where more than one axis is
    longer than 1.
    """

    ops: tuple[str, ...] = ()
    not_ops: tuple[str, ...] = ()
    dtype: tuple[str, ...] = ()
    rank: int | None = None
    rank_over: int | None = None
    input_rank_under: int | None = None
    reads: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    flexible: str = ""
    broadcasts: bool = False
    dilation_over: int | None = None
    last_axis: int | None = None

    @property
    def of_the_file(self) -> bool:
        """Whether it asks for nothing of a node, only of how the file declares its inputs."""
        return replace(self, flexible="") == Pattern()

    def holds(self, node: Node, file: Explanation) -> bool:
        ranks = [len(shape) for shape in node.inputs]
        return all(
            (
                not self.ops or node.op in self.ops,
                node.op not in self.not_ops,
                not self.dtype or node.dtype in self.dtype,
                self.rank in (None, len(node.shape), *ranks),
                self.rank_over is None or max([len(node.shape), *ranks]) > self.rank_over,
                self.input_rank_under is None
                or min([self.input_rank_under, *ranks]) < self.input_rank_under,
                not self.reads or not set(self.reads).isdisjoint(node.reads),
                not self.then or not set(self.then).isdisjoint(node.then),
                self.flexible in ("", file.flexible),
                not self.broadcasts
                or any(prod(shape) != prod(node.shape) for shape in node.inputs),
                self.dilation_over is None or node.dilation > self.dilation_over,
                self.last_axis is None or self._ends(node, file),
            )
        )

    def _ends(self, node: Node, file: Explanation) -> bool:
        long = sum(size > 1 for size in node.shape)  # a vector's padding is small
        return not file.flexible and long > 1 and node.shape[-1] == self.last_axis


@dataclass(frozen=True)
class Rule:
    """since, until: the first and last release it is known to hold for. source: addresses."""

    name: str
    pattern: Pattern
    says: str
    source: tuple[str, ...]
    confidence: str
    effect: str = "off"
    cures: tuple[str, ...] = ()
    instead: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, name: str, row: dict[str, Any]) -> Self:
        known = {f.name for f in fields(Pattern)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        pattern = Pattern(**{k: v for k, v in given.items() if k in known})
        return cls(name, pattern, **{k: v for k, v in given.items() if k not in known})

    @property
    def strict(self) -> bool:
        """Whether it is enough to fail a file for."""
        return self.confidence != "reported" and self.effect != "advice"

    def holds_for(self, version: str) -> bool:
        """Of "2.1": for some release 2.1.x."""
        if not version:
            return True
        asked = _numbers(version)
        n = len(asked)
        late = not self.since or _numbers(self.since)[:n] <= asked
        return late and (not self.until or asked <= _numbers(self.until)[:n])


@dataclass(frozen=True)
class Ruleset:
    """title: what it is about. target: whose files. held_against: first and last release."""

    name: str
    title: str
    target: str
    rules: tuple[Rule, ...]
    held_against: tuple[str, ...] = ()
    version: str = ""

    @classmethod
    def read(cls, file: Path, name: str) -> Self:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        rules = tuple(Rule.of(n, row) for n, row in table.pop("rule").items())
        held = tuple(table.pop("held_against", ()))
        return cls(name, rules=rules, held_against=held, version=held[-1] if held else "", **table)

    def at(self, version: str) -> Self:
        return replace(self, version=version)

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    @property
    def doubt(self) -> str:
        """Where the asked release is outside those the rules were held against."""
        if not self.held_against:
            return ""
        first, last = (_numbers(v) for v in self.held_against)
        asked = _numbers(self.version)
        if first[: len(asked)] <= asked <= last[: len(asked)]:
            return ""
        held = " to ".join(self.held_against)
        return f"the rules were held against {held}, not against {self.version}"

    def check(self, target: str) -> None:
        """InputError where they are not for this target's files."""
        if target != self.target:
            raise InputError(
                f"the rules of {self.name} are for {self.target} files, this one is {target}'s"
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
