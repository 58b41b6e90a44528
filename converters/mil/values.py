"""Number formats of MIL, and constants: in the program itself or in the weights file beside it.

A weights file is a row of blobs; each begins with a header of 64 bytes at a multiple of 64: magic
0xDEADBEEF, format, size in bytes, offset of the data, and for formats narrower than a byte the
number of bits that pad the last one. Narrow values are packed from the lowest bit up.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgevit.errors import ArtifactError

from .protobuf import classes

MAGIC = 0xDEADBEEF
MOST = 2**28  # elements of one tensor: a gigabyte in fp32


@dataclass(frozen=True)
class Type:
    """One number format. numpy: of the stored bytes. blob: its code in a weights file."""

    name: str
    torch: torch.dtype
    numpy: str
    bits: int
    blob: int

    @property
    def numpy_name(self) -> str:
        return str(self.torch).removeprefix("torch.")


TYPES = {
    t.name: t
    for t in (
        Type("bool", torch.bool, "?", 8, 0),
        Type("fp16", torch.float16, "<f2", 16, 1),
        Type("fp32", torch.float32, "<f4", 32, 2),
        Type("uint8", torch.uint8, "u1", 8, 3),
        Type("int8", torch.int8, "i1", 8, 4),
        Type("int16", torch.int16, "<i2", 16, 6),
        Type("uint16", torch.int32, "<u2", 16, 7),
        Type("int4", torch.int8, "u1", 4, 8),
        Type("uint1", torch.uint8, "u1", 1, 9),
        Type("uint2", torch.uint8, "u1", 2, 10),
        Type("uint4", torch.uint8, "u1", 4, 11),
        Type("uint3", torch.uint8, "u1", 3, 12),
        Type("uint6", torch.uint8, "u1", 6, 13),
        Type("int32", torch.int32, "<i4", 32, 14),
        Type("uint32", torch.int64, "<u4", 32, 15),
        Type("int64", torch.int64, "<i8", 64, 0),
        Type("fp64", torch.float64, "<f8", 64, 0),
    )
}
_NAMES = {"FLOAT16": "fp16", "FLOAT32": "fp32", "FLOAT64": "fp64"}
Shape = tuple[int | None, ...]


def declared(kind: Any) -> tuple[Type | None, Shape]:
    """Format (None of text) and shape, None where it may vary, of a declared type."""
    if kind.WhichOneof("type") != "tensorType":
        raise ArtifactError(f"declares a {kind.WhichOneof('type') or 'value of no type'}")
    tensor = kind.tensorType
    code = tensor.dataType
    known = classes().MIL_pb2.DataType
    if code not in known.values():
        raise ArtifactError(f"declares a number format {code} that edgevit does not know")
    name = known.Name(code)
    name = _NAMES.get(name, name.lower())
    if name != "string" and name not in TYPES:
        raise ArtifactError(f"declares the number format {name}, which edgevit does not know")
    shape = tuple(
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
        for d in tensor.dimensions
    )
    if math.prod(n or 1 for n in shape) > MOST:
        raise ArtifactError(f"declares a tensor of shape {list(shape)}, larger than 1 GiB")
    return TYPES.get(name), shape


def value_of(value: Any, weights: "Weights") -> torch.Tensor | str:
    """A constant as a tensor of its declared format and shape, or as text."""
    kind, shape = declared(value.type)
    sizes = [n or 0 for n in shape]
    count = math.prod(sizes)
    if value.WhichOneof("value") == "blobFileValue":
        if kind is None:
            raise ArtifactError("keeps text in the weights file")
        data = weights.read(value.blobFileValue.fileName, value.blobFileValue.offset, kind)
        return _tensor(data, kind, count).reshape(sizes)
    tensor = value.immediateValue.tensor
    held = tensor.WhichOneof("value")
    if held is None:
        raise ArtifactError("holds a constant that is no tensor")
    items = getattr(tensor, held).values
    if kind is None:
        return str(items[0]) if len(items) else ""
    if held == "bytes":
        return _tensor(np.frombuffer(items, np.uint8), kind, count).reshape(sizes)
    if len(items) != count:
        raise ArtifactError(f"holds {len(items)} values for a shape {list(shape)}")
    return torch.tensor(list(items), dtype=kind.torch).reshape(sizes)


def _tensor(data: np.ndarray, kind: Type, count: int) -> torch.Tensor:
    """`count` values out of stored bytes."""
    if data.size != math.ceil(count * kind.bits / 8):
        raise ArtifactError(f"has {data.size} bytes for {count} values of {kind.name}")
    if kind.bits < 8:
        values = unpacked(data, kind.bits, count)
        return torch.from_numpy(((values ^ 8) - 8).astype("i1") if kind.name == "int4" else values)
    found = data[: count * kind.bits // 8].view(kind.numpy)
    return torch.from_numpy(found.astype(found.dtype.newbyteorder("="))).to(kind.torch)


def unpacked(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The first `count` unsigned values of so many bits, packed from the lowest bit up."""
    flat = np.unpackbits(data[: math.ceil(count * bits / 8)], bitorder="little")[: count * bits]
    return np.packbits(flat.reshape(-1, bits), axis=1, bitorder="little").reshape(-1)


class Weights:
    """The weights files beside a program, mapped; paths in it begin with @model_path/."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._files: dict[str, np.ndarray] = {}

    def read(self, name: str, offset: int, kind: Type) -> np.ndarray:
        """The bytes of the blob whose header stands at `offset`."""
        if name not in self._files:
            file = (self._folder / name.removeprefix("@model_path/")).resolve()
            if not file.is_relative_to(self._folder) or not file.is_file():
                raise ArtifactError(f"names a weights file {name!r} that is not in the package")
            self._files[name] = np.fromfile(file, np.uint8)
        data = self._files[name]
        if offset + 64 > data.size:
            raise ArtifactError(f"has weights at byte {offset}, past the end of {name!r}")
        magic, code, size, start = struct.unpack("<IIQQ", data[offset : offset + 24].tobytes())
        if magic != MAGIC:
            raise ArtifactError(f"has no weights at byte {offset} of {name!r}: wrong magic")
        if code != kind.blob:
            raise ArtifactError(f"has weights of format {code} at byte {offset}, not {kind.name}")
        if start + size > data.size:
            raise ArtifactError(f"has weights at byte {start} that end past the end of {name!r}")
        return data[start : start + size]
