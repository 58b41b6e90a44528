"""Everything edgevit raises, and the exit code each kind gives the command.

EdgevitError                    1   a defect of ours; please report it
├── InputError                  2   a value of the user's: what it was, what exists, what to do
│   ├── UnknownName                 a model, target or precision that is not there; nearest names
│   ├── WeightsError                unreadable weights; missing, extra or mis-shaped keys
│   ├── ExportError                 torch.export refuses the module; which line
│   └── ArtifactError               changed, corrupted, without card, not an artifact
├── Disagreement                3   an artifact computes something else than the model
├── ChildError                  4   a converter or runtime failed in its child process
│   ├── ChildDied                   by a signal
│   ├── ChildTimeout
│   └── ChildMemory
├── MissingRuntime              5   a package is not installed; the pip command
│   └── NotOnThisSystem             the runtime is for another operating system
├── OutputError                 6   no space, no permission, a place that is not ours
└── DeviceError                 7   a phone or board is not there, refuses, or was cut off

A message is one sentence or a few: what was wrong, with the value, and what to do next.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class EdgevitError(Exception):
    """Root of all; `exit_code` is what the command ends with."""

    exit_code = 1

    @property
    def message(self) -> str:
        return str(self)


class InputError(EdgevitError):
    exit_code = 2


class UnknownName(InputError):
    pass


class WeightsError(InputError):
    pass


class ExportError(InputError):
    pass


class ArtifactError(InputError):
    pass


class Disagreement(EdgevitError):
    exit_code = 3


class ChildError(EdgevitError):
    """words: what the child wrote to its log last."""

    exit_code = 4
    words = ""


class ChildDied(ChildError):
    pass


class ChildTimeout(ChildError):
    pass


class ChildMemory(ChildError):
    pass


class MissingRuntime(EdgevitError):
    exit_code = 5


class NotOnThisSystem(MissingRuntime):
    pass


class OutputError(EdgevitError):
    exit_code = 6


class DeviceError(EdgevitError):
    exit_code = 7


def sound(found: Sequence[T | EdgevitError]) -> list[T]:
    """All of `found`; raises the first error among them."""
    kept: list[T] = []
    for one in found:
        if isinstance(one, EdgevitError):
            raise one
        kept.append(one)
    return kept


def by_name(name: str) -> type[EdgevitError] | None:
    """The class of this tree called `name`, or None: how an error crosses a process border."""
    kinds = [EdgevitError]
    while kinds:
        kind = kinds.pop()
        if kind.__name__ == name:
            return kind
        kinds += kind.__subclasses__()
    return None


def first_line(error: Exception) -> str:
    """What it says, at most 200 letters of its first line; or else what it is."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
