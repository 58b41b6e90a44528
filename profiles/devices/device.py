"""Where artifacts are measured and run: this machine, or one reached over adb or ssh.

    host               this machine
    mac                Core ML on this Mac, all its compute units; mac:cpu, mac:gpu, mac:ane: some
    adb:SERIAL         an Android phone, through its app (android_demo); adb: alone is the only one
    ssh:USER@HOST      a board or server with Linux, prepared by `edgevit devices prepare`

A kind is one file, its name the file's, with `reachable()` and `connect(address)`. What is pushed
to a device lies in one folder there, which `close` removes.
"""

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edgevit.errors import EdgevitError
from edgevit.lookup import lookup

from ..run import Run
from ..variant import Item

KINDS = {kind: f"{__package__}.{kind}" for kind in ("host", "mac", "adb", "ssh")}
Answer = Callable[..., tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Reachable:
    """A device as it is listed: what --device takes, and what is known without disturbing it.

    state: "ready", or what stands in the way and what to do. cores: None where it is not said.
    """

    name: str
    model: str = ""
    soc: str = ""
    cores: int | None = None
    os: str = ""
    state: str = "ready"


class Remote(Protocol):
    """A device that is connected; DeviceError from any call says what went wrong, in a sentence."""

    def profile(self, items: Sequence[Item], **settings: Any) -> list[Run | EdgevitError]:
        """As `bench.profile` does here; settings: those of it that say how much and how."""
        ...

    def open(self, item: Item, *, threads: int, timeout_s: float) -> AbstractContextManager[Answer]:
        """The item in its runtime there: called on arrays it gives the outputs, as a tuple.

        Where starting it there is slow, the answer has `together(rows)` too: a tuple for each row.
        """
        ...

    def close(self) -> None:
        """Remove what was pushed and hang up."""
        ...


def connect(name: str) -> Remote:
    """The device that --device names; UnknownName for a kind that is not there."""
    kind, _, address = name.partition(":")
    module = importlib.import_module(lookup("device", kind, KINDS))
    remote: Remote = module.connect(address)
    return remote


def reachable() -> list[Reachable]:
    """All that answer now, this machine first; where a kind cannot be asked, its state says why."""
    found = []
    for kind, module in KINDS.items():
        try:
            found += importlib.import_module(module).reachable()
        except EdgevitError as e:
            found.append(Reachable(f"{kind}:", state=str(e)))
    return found
