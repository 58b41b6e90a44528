"""Where an artifact that disagrees with its model goes wrong first: in which of its modules.

The program is cut after a module, what lies before the cut is lowered and run by itself, and its
outputs are held against float64 by the rule of `verify`. Bisection over the cuts ends at two that
follow each other, of which the first agrees and the second does not: what the module between them
reads is right, and what it gives is wrong. That takes log2(n) lowerings: 8 for 200 steps.

It finds what goes wrong in a module by itself. A fault that shows only where two modules are
lowered together is laid to the later one; one that needs the whole model, to its last step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from edgevit.reference import Arrays

from .verify import AGREES, Agreement, agreement

if TYPE_CHECKING:
    from edgevit.preprocess import Preprocess
    from edgevit.program import Program


@dataclass(frozen=True)
class Step:
    """A run of operators of one module, see `pieces`.

    stack: (path, class) of the modules around it, outermost first. end: its last node's place.
    """

    stack: tuple[tuple[str, str], ...]
    ops: tuple[str, ...]
    end: int

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        return cls(tuple((p, k) for p, k in d["stack"]), tuple(d["ops"]), d["end"])

    @property
    def path(self) -> str:
        """The innermost module's, "" for the model itself."""
        return self.stack[-1][0]


Judge = Callable[[Step], Agreement | None]
Watch = Callable[[str], None]
Answers = Callable[["Program", Sequence[Arrays]], list[Arrays]]


@dataclass(frozen=True)
class Location:
    """The first module that is wrong; module is None where the whole agrees.

    module, kind: its path in the user's model and its class. ops: what it computes there.
    after, after_ops: the same of what comes just before, which agrees; None where nothing does.
    error, tolerance, fault: of its worst output, as in an OutputAgreement. lowerings: made to know.
    """

    module: str | None
    kind: str
    ops: tuple[str, ...]
    after: str | None
    after_ops: tuple[str, ...]
    error: float
    tolerance: float
    fault: str
    lowerings: int

    def __str__(self) -> str:
        if self.module is None:
            return (
                "lowered again here it agrees everywhere: the file was made by other versions, "
                "or changed together with its card"
            )
        found = self.fault or f"error {self.error:.1e} of {self.tolerance:.1e} allowed"
        wrong = f"{_named(self.module)} ({self.kind}: {_listed(self.ops)})"
        if self.after is None:
            return f"first wrong in {wrong}: {found}; it is the first to compute anything"
        return (
            f"first wrong in {wrong}: {found}; "
            f"up to {_named(self.after)} ({_listed(self.after_ops)}) it agrees"
        )


def bisect(steps: Sequence[Step], judge: Judge, watch: Watch = lambda said: None) -> Location:
    """The step whose inputs agree and whose output does not.

    judge: the agreement of the piece up to a step, None where there is no such piece: then the
    steps on both sides of that cut are one.
    """
    tried = 0

    def judged(i: int) -> Agreement | None:
        nonlocal tried
        tried += 1
        left = f"{wrong - right} steps in doubt" if i < wrong else f"{len(steps)} steps"
        watch(f"lower up to {_named(steps[i].path)} ({left})")
        return judge(steps[i])

    right, wrong = -1, len(steps) - 1
    found = judged(wrong)
    assert found is not None  # the whole is always a piece
    if found.status == AGREES:
        return Location(None, "", (), None, (), 0.0, 0.0, "", tried)
    closed: set[int] = set()
    while open_ := [i for i in range(right + 1, wrong) if i not in closed]:
        middle = open_[len(open_) // 2]
        seen = judged(middle)
        if seen is None:
            closed.add(middle)
        elif seen.status == AGREES:
            right = middle
        else:
            wrong, found = middle, seen
    suspects = steps[right + 1 : wrong + 1]
    path, kind = _around(suspects)
    worst = found.worst
    assert worst is not None  # what was rejected has an output
    return Location(
        module=path,
        kind=kind,
        ops=tuple(dict.fromkeys(op for step in suspects for op in step.ops)),
        after=steps[right].path if right >= 0 else None,
        after_ops=steps[right].ops if right >= 0 else (),
        error=worst.max_abs_error,
        tolerance=worst.tolerance,
        fault=worst.fault,
        lowerings=tried,
    )


def locate(
    program: "Program",
    answers: Answers,
    *,
    preprocess: "Preprocess | None" = None,
    precision: str = "fp32",
    watch: Watch = lambda said: None,
) -> Location:
    """`bisect` here, with whatever `answers` makes of a piece: a rewrite run by torch, say."""
    from .pieces import piece, reference, steps

    def judge(step: Step) -> Agreement | None:
        cut = piece(program, step)
        if cut is None:
            return None
        held = reference(cut, preprocess=preprocess, precision=precision)
        names = [port.name for port in cut.facts.outputs]
        return agreement(held, answers(cut, held.inputs), precision=precision, names=names)

    return bisect(steps(program.exported), judge, watch)


def _around(steps: Sequence[Step]) -> tuple[str, str]:
    """Path and class of the innermost module that holds all of these steps."""
    first, *others = (step.stack for step in steps)
    held = [entry for entry in first if all(entry in stack for stack in others)]
    return held[-1] if held else ("", "the model")


def _named(path: str) -> str:
    return path or "the model's own code"


def _listed(ops: Sequence[str]) -> str:
    """The last of them, with which a step ends."""
    return ", ".join(("...", *ops[-3:]) if len(ops) > 4 else ops)
