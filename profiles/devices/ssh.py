"""A board or server with Linux, reached over ssh, as a device: `ssh:USER@HOST:PORT`.

    here                                     there, after `edgevit devices prepare`
    bench ── call ──▶ Line ══ ssh ══▶ edgevit.board ──▶ children, one for each artifact
    artifacts ───────────── sftp ───▶ a folder, which goes with edgevit.board

The measuring loop stays here; what is timed, the machine's peak, its state and its facts are the
board's, through the same calls as on the host.
"""

import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edgevit import digest
from edgevit.board import RUNTIMES
from edgevit.converters.artifact import Session
from edgevit.converters.target import TARGETS, find
from edgevit.errors import DeviceError, EdgevitError

from .. import bench, peak
from ..run import Run
from ..variant import Item, measured
from . import host
from .device import Reachable
from .known_boards import known_boards
from .ssh_line import Line
from .ssh_login import Address
from .ssh_push import put


def connect(address: str) -> "Board":
    return Board(Line(Address.of(address)))


def reachable() -> list[Reachable]:
    """The boards that were prepared from here."""
    names = known_boards()
    with ThreadPoolExecutor(len(names) or 1) as pool:
        return list(pool.map(_seen, names))


def _seen(name: str) -> Reachable:
    try:
        with closing(connect(name)) as board:
            facts = board.describe()
    except EdgevitError as e:
        return Reachable(f"ssh:{name}", state=str(e))
    return Reachable(f"ssh:{name}", facts["device"], facts["cpu"], facts["cores"], facts["os"])


class Board:
    """See `device.Remote`."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._pushed: dict[tuple[str, str], Path] = {}

    def profile(self, items: Sequence[Item], **settings: Any) -> list[Run | EdgevitError]:
        seams = {
            "start": lambda timeout_s: self.line.child(timeout_s=timeout_s),
            "probe": partial(peak.probe, start=self.line.child),
            "describe": self.describe,
            "state": partial(self.line.call, f"{host.__name__}:state"),
            "cores_for": lambda n: tuple(self.line.call(f"{host.__name__}:cores_for", threads=n)),
        }
        return measured(items, self._named, partial(bench.profile, **{**seams, **settings}))

    def open(self, item: Item, *, threads: int, timeout_s: float) -> Session:
        file, child = self.push(item).file, self.line.child(timeout_s=timeout_s)
        return Session(file, item.target, threads=threads, timeout_s=timeout_s, child=child)

    def close(self) -> None:
        self.line.close()

    def describe(self) -> dict[str, Any]:
        """See `host.describe`."""
        facts: dict[str, Any] = self.line.call(f"{host.__name__}:describe")
        return {**facts, "flags": tuple(facts["flags"])}

    def push(self, item: Item) -> Item:
        """The item as it lies on the board."""
        found = find(item.target)
        if found.runtime not in RUNTIMES:
            raise DeviceError(f"{item.target} files do not run on {self.line.name}, a Linux")
        if found.runtime not in self.line.greeting["runtimes"]:
            has = self.line.greeting["runtimes"]
            wanted = ",".join([*(t for t in TARGETS if find(t).runtime in has), item.target])
            raise DeviceError(
                f"{self.line.name} has no {found.runtime}; `edgevit devices prepare "
                f"{self.line.name} --runtimes {wanted}` installs it"
            )
        key = (digest.of(item.file), item.file.name)
        if key not in self._pushed:
            self._pushed[key] = self._put(item.file, key[0])
        return replace(item, file=self._pushed[key])

    def _named(self, item: Item) -> Item:
        """`push`, whose errors say which item it was."""
        try:
            return self.push(item)
        except EdgevitError as e:
            raise type(e)(f"{item.label}: {e}") from None

    def _put(self, file: Path, sha256: str) -> Path:
        folder = self.line.greeting["folder"]
        free, size = self.line.call("shutil:disk_usage", path=folder)[2], file.stat().st_size
        if size > free:
            raise DeviceError(
                f"{self.line.name} has no space for {file.name}: {size / 1e6:.1f} MB, and "
                f"{free / 1e6:.1f} MB are free under {folder}"
            )
        place = posixpath.join(folder, sha256[:16], file.name)
        put(self.line.connection, self.line.name, file, place)
        if self.line.call("edgevit.board:sha256", path=place) != sha256:
            raise DeviceError(f"{file.name} arrived damaged on {self.line.name}; try again")
        return Path(place)
