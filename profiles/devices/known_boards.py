"""Which boards were prepared from this machine: one address a line, for `edgevit devices`."""

import os
from pathlib import Path

from edgevit.staging import write_text


def known_boards() -> list[str]:
    try:
        return _file().read_text(encoding="utf-8").split()
    except OSError:
        return []


def remember(address: str) -> None:
    known = known_boards()
    if address not in known:
        write_text(_file(), "".join(f"{one}\n" for one in (*known, address)))


def _file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "edgevit" / "boards"
