"""Lower a saved program to one target's file; runs in a child process."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgevit.program import Program

from .target import find


def lower(*, target: str, program: str, file: str, precision: str, ios: int) -> None:
    """Write `file` from the saved program."""
    chosen, path = find(target), Path(file)
    chosen.lower(Program.load(Path(program)), path, precision=precision, ios=ios)


def placement(*, target: str, file: str) -> dict[str, Any] | None:
    """Where the file's graph runs, read from the file or its runtime."""
    found = find(target).placement(Path(file))
    return asdict(found) if found else None
