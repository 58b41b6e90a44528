"""Artifact: a file or folder with its card, opened in its own runtime in a child process."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from edgevit import digest
from edgevit.errors import ArtifactError, InputError
from edgevit.sandbox import MEMORY_BYTES, TIMEOUT_S, Callee, Child

from .card import Card, card_of
from .target import TARGETS, Array, Loaded, Tensor, find, runner

ASIDE = ".rejected"  # ends the name of a file that was wrong, which only `verify` and `show` open


@dataclass(frozen=True)
class Artifact:
    """`card` is None for a file that edgevit did not write: it can be profiled, not verified."""

    path: Path
    target: str
    card: Card | None

    @classmethod
    def read(cls, path: Path, *, card_required: bool = True, rejected: bool = False) -> Self:
        """Find the artifact at `path` and check it against its card's digest.

        rejected: take one that `convert` found wrong and kept aside, too.
        ArtifactError when it is missing, is none, has no card though one is required, or changed.
        """
        if not path.exists():
            raise ArtifactError(f"no artifact at {path}; check the path")
        suffixes = {find(name).suffix: name for name in TARGETS}
        suffix = Path(path.stem).suffix if rejected and path.suffix == ASIDE else path.suffix
        if suffix not in suffixes:
            known = ", ".join(suffixes)
            raise ArtifactError(f"{path} is no artifact: its name ends in none of {known}")
        if not digest.size_bytes(path):
            raise ArtifactError(f"{path} is empty; convert it again")
        if not card_required and not card_of(path).exists():
            return cls(path, suffixes[suffix], None)
        card = Card.read(card_of(path))
        if card.target != suffixes[suffix]:
            raise ArtifactError(
                f"{path} ends in {suffix}, but its card is for target {card.target!r}; "
                "convert it again"
            )
        try:
            found = digest.of(path)
        except OSError as e:
            raise ArtifactError(f"{path} cannot be read: {e.strerror}") from None
        if found != card.artifact["sha256"]:
            raise ArtifactError(
                f"{path} is not the file its card describes: its SHA-256 differs, so it was "
                "changed or damaged after conversion; convert it again"
            )
        return cls(path, card.target, card)

    def open(
        self,
        *,
        threads: int = 1,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
        by: Literal["load", "evaluate"] = "load",
    ) -> "Session":
        """Open in the file's runtime; call the result on numpy arrays, close it when done.

        by: "evaluate" for the evaluator of a target that has one, though its runtime be there too.
        """
        return Session(
            self.path,
            self.target,
            threads=threads,
            timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            by=by,
        )


class Session:
    """An open artifact: `session(array, ...)` returns its outputs, a tuple of arrays.

    The runtime lives in a child process, so that a file that kills it raises ChildDied here.
    child: one that is there already, on a device, and has its limits; closed with this.
    """

    def __init__(
        self,
        path: Path,
        target: str,
        *,
        threads: int,
        timeout_s: float,
        memory_bytes: int = MEMORY_BYTES,
        log: Path | None = None,
        by: Literal["load", "evaluate"] = "load",
        child: Callee | None = None,
    ) -> None:
        self._name = path.name
        self._child = child or Child(
            timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            log=log,
            torch=runner(target).runs_on_torch,
        )
        try:
            ports = self._child.call(
                f"{__name__}:_open", file=path, target=target, threads=threads, by=by
            )
        except BaseException:
            self._child.close()
            raise
        self.inputs = tuple(Tensor(p["name"], p["dtype"], tuple(p["shape"])) for p in ports)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Outputs for inputs of the declared shapes; floats are cast to the declared dtype."""
        if len(arrays) != len(self.inputs):
            raise InputError(
                f"{self._name} takes {len(self.inputs)} inputs, {len(arrays)} were given"
            )
        fed = []
        for port, given in zip(self.inputs, arrays, strict=True):
            array = np.asarray(given)
            floats = array.dtype.kind == "f" and np.dtype(port.dtype).kind == "f"
            if array.shape != port.shape or not (floats or array.dtype == port.dtype):
                raise InputError(
                    f"input {port.name!r} of {self._name} must be {port.dtype} {list(port.shape)}, "
                    f"not {array.dtype} {list(array.shape)}"
                )
            fed.append(array.astype(port.dtype))
        return tuple(self._child.call(f"{__name__}:_infer", arrays=fed))

    def close(self) -> None:
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


_opened: list[Loaded] = []  # in the child: the one file it serves


def _open(*, file: str, target: str, threads: int, by: str) -> list[dict[str, Any]]:
    _opened[:] = [getattr(runner(target), by)(Path(file), threads=threads)]
    return [vars(port) for port in _opened[0].inputs]


def _infer(*, arrays: list[Array]) -> tuple[Array, ...]:
    return _opened[0](*arrays)
