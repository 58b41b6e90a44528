"""Devices that are not here, as data: a .toml file each, for what others published of them.

    name      as its maker, and the tables of published latencies, call it
    soc       the chip
    source    where this file's facts stand, in words
    cpu       clusters, the fastest first: cores, core (its name), ghz (its highest clock)
    gpu, npu  as the maker names them
    features  of all its cores, those that decide which kernels a runtime takes; see `host.FLAGS`

A field that nobody documents is left out. Nothing here was measured.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from edgevit.errors import InputError
from edgevit.lookup import lookup, unknown

from ..tables import NAMES, load
from .host import FLAGS

T = TypeVar("T")
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Cluster:
    """Equal cores of a CPU."""

    cores: int
    core: str
    ghz: float | None = None

    def __str__(self) -> str:
        return f"{self.cores} × {self.core}" + (f" {self.ghz:g} GHz" if self.ghz else "")


@dataclass(frozen=True)
class Known:
    """A device; the fields are the keys of its file."""

    name: str
    soc: str
    source: str
    cpu: tuple[Cluster, ...] = ()
    gpu: str = ""
    npu: str = ""
    features: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the published tables with rows of this device."""
        return tuple(name for name in NAMES if self.name in map(plain, load(name).devices))


_WORDS = {
    str: "text",
    int: "a whole number",
    float | None: "a number such as 2.4",
    Cluster: "a table",
}


@cache
def known() -> Mapping[str, Known]:
    """Name → device, in the order of the names."""
    found = [read(file) for file in FOLDER.glob("*.toml")]
    return {device.name: device for device in sorted(found, key=lambda device: device.name)}


def named(text: str) -> Known:
    """The device that a table calls `text`; UnknownName where no file describes it."""
    return lookup("device", plain(text), known())


def plain(text: str) -> str:
    """A table's device without what follows its name: "iPhone 14 Pro, iOS 17", "S24 (8 Gen 3)"."""
    return text.partition(",")[0].partition(" (")[0]


def read(file: Path) -> Known:
    """The device that `file` describes; InputError naming the file and the key at fault."""
    try:
        found = _checked(Known, tomllib.loads(file.read_text(encoding="utf-8")), file.name)
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"{file.name} is no TOML: {e}") from None
    for feature in found.features:
        if feature not in FLAGS:
            raise InputError(f"{file.name}: {unknown('feature', feature, FLAGS)}")
    return found


def _checked(kind: type[T], said: Mapping[str, Any], where: str) -> T:
    """`said` as a dataclass of `kind`, each value of its field's type."""
    keys = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in said:
        if key not in keys:
            raise InputError(f"{where}: {unknown('key', key, keys)}")
    for key, field in keys.items():
        if key not in said and field.default is MISSING:
            raise InputError(f"{where}: the key {key!r} is missing")
    return kind(**{key: _value(keys[key].type, v, f"{where}: {key}") for key, v in said.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        if isinstance(value, list):
            return tuple(_value(get_args(kind)[0], v, where) for v in value)
    elif is_dataclass(kind) and isinstance(value, dict):
        return _checked(kind, value, where)  # type: ignore[arg-type]
    elif isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise InputError(f"{where} is {value!r}, not {_WORDS.get(kind, 'a list')}")
