"""measure(): which graph rewrites pay on this machine, each timed in a small net made for it.

    per case     the net without the rule, and once with each form ── lowered ── run interleaved
    a form       is as many times as fast as the median over rounds of (without / with)

Cases come in an order in which what lost before is out of the graph of those that follow.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import torch

from ..converters.rewrites import NAMES
from ..converters.rewrites.cases import CASES, Case
from ..converters.rewrites.choice import Costs
from ..converters.rewrites.rule import rules
from ..converters.target import check_host, require
from ..errors import ChildError, EdgevitError
from ..profiles import bench
from ..profiles.bench import Item
from ..profiles.compare import ratio
from ..profiles.devices import host
from ..profiles.run import Run
from ..program import export
from ..reference import PROGRAM
from ..sandbox import Child
from .make import Watch
from .prepared import Limits

Speed = tuple[float, float, float]
FAILS, NEEDED = (0.0,) * 3, (float("inf"),) * 3  # with the rule; only with the rule


def measure(
    target: str,
    *,
    rounds: int = 30,
    cases: tuple[Case, ...] = CASES,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> Costs:
    """The speed of every form of `cases` on `target`, here, with one thread."""
    found = check_host(target)
    require(target, found.needs)
    facts = host.describe()
    costs = Costs({"cpu": facts["cpu"], "flags": " ".join(facts["flags"]), "threads": "1"})
    costs.measured["date"] = date.today().isoformat()
    with TemporaryDirectory() as folder, _Lowering(target, Path(folder), limits) as lowered:
        for number, case in enumerate(cases):
            watch(target, f"{number + 1}/{len(cases)} {' or '.join(case.forms)}")
            runs = _runs(case, lowered, costs, rounds)
            for form, run in zip(case.forms, runs[1:], strict=True):
                costs.speed[form] = _speed(runs[0], run)
            for run in runs:
                if isinstance(run, Run):
                    costs.measured["runtime"] = (
                        f"{run.context.runtime} {run.context.runtime_version}"
                    )
    watch(target, "done")
    return costs


class _Lowering:
    """Lowers in one child, and in a fresh one after an error."""

    def __init__(self, target: str, folder: Path, limits: Limits) -> None:
        self.target, self.folder, self.limits = target, folder, limits
        self.program = folder / PROGRAM
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.close()
            self._child = None

    def __call__(self, name: str, rewrites: Sequence[str]) -> Item | EdgevitError:
        file = self.folder / f"{name}{check_host(self.target).suffix}"
        self._child = self._child or self.limits.child(self.folder / "log")
        try:
            self._child.call(
                "edgevit.converters.lowering:lower",
                target=self.target,
                program=self.program,
                file=file,
                precision="fp32",
                ios=17,
                rewrites=rewrites,
            )
        except ChildError as e:
            self.__exit__()
            return e
        return Item(file, self.target)


def _runs(case: Case, lowered: _Lowering, costs: Costs, rounds: int) -> list[Run | EdgevitError]:
    """Without the rule, then with each form; an error where a form does not lower or run."""
    torch.manual_seed(0)
    net = case.net().eval().requires_grad_(False)
    export(net, [torch.randn(case.shape)], name=case.forms[0]).save(lowered.program)
    others = [r.name for r in costs.chosen(rules(NAMES)) if r.name not in case.forms]
    found = [lowered("without", others)]
    found += [lowered(form, [*others, form]) for form in case.forms]
    runs = iter(bench.profile([i for i in found if isinstance(i, Item)], rounds=rounds, probe=None))
    return [next(runs) if isinstance(item, Item) else item for item in found]


def _speed(without: Run | EdgevitError, form: Run | EdgevitError) -> Speed:
    if not isinstance(form, Run):
        return FAILS
    if not isinstance(without, Run):
        return NEEDED
    found = ratio(without, form)
    return found.value, found.low, found.high
