"""Core ML on this Mac, with all of its compute units: mac, or mac:cpu, mac:gpu, mac:ane.

`host` runs packages on the CPU alone, whose numbers are the same everywhere; here Core ML chooses
among the units it is given, and the placement of a run tells which operators it meant for which.
No Mac has run this yet.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from edgevit import sandbox
from edgevit.converters.coreml import UNITS
from edgevit.errors import EdgevitError, InputError, NotOnThisSystem
from edgevit.lookup import lookup

from .. import apple
from . import host

if TYPE_CHECKING:
    from edgevit.converters.artifact import Session

    from ..run import Run
    from ..variant import Item
    from .device import Reachable

ON_A_MAC = sys.platform == "darwin"


def connect(address: str) -> "Mac":
    units = address or "all"
    lookup("compute units", units, UNITS)
    if not ON_A_MAC:
        raise NotOnThisSystem("--device mac is Core ML on this machine, which has to be a Mac")
    return Mac(units)


def reachable() -> "list[Reachable]":
    if not ON_A_MAC:
        return []
    return [replace(one, name="mac") for one in host.reachable()]


class Mac(host.Here):
    """This machine, for Core ML packages; see `device.Remote`."""

    def __init__(self, units: str) -> None:
        self._units = units

    def profile(self, items: "Sequence[Item]", **settings: Any) -> "list[Run | EdgevitError]":
        from ..variant import measured

        return measured(items, self._here, partial(super().profile, **settings))

    def open(self, item: "Item", *, threads: int, timeout_s: float) -> "Session":
        return super().open(self._here(item), threads=threads, timeout_s=timeout_s)

    def _here(self, item: "Item") -> "Item":
        if item.target != "coreml":
            raise InputError(
                f"{item.label}: --device mac runs Core ML packages; leave it out for this one"
            )
        devices = sandbox.run("edgevit.profiles.apple:planned", file=item.file, units=self._units)
        words = apple.placement(self._units, devices)
        return replace(item, target=f"{item.target}:{self._units}", placement=words)
