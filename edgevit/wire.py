"""Messages between a process and its child: JSON, with numpy arrays sent as raw bytes behind it.

8 bytes  length of the JSON text, little endian
JSON     an array stands as {"__array__": [dtype, shape]}, a path as its text
bytes    of the arrays, in the order in which they stand in the JSON
"""

import json
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

_KEY = "__array__"


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message; raises TypeError, before any byte is written, for what cannot be sent."""
    arrays: list[np.ndarray] = []

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "biufc":
                raise TypeError(f"an array of {value.dtype} cannot be sent")
            arrays.append(np.ascontiguousarray(value))
            return {_KEY: [value.dtype.str, list(value.shape)]}
        if isinstance(value, dict):
            if set(value) == {_KEY}:
                raise TypeError(f"a dict with the only key {_KEY!r} would arrive as an array")
            return {str(k): encode(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [encode(v) for v in value]
        if isinstance(value, Path):
            return str(value)
        return value.item() if isinstance(value, np.generic) else value

    text = json.dumps(encode(message)).encode()
    stream.write(struct.pack("<Q", len(text)))
    stream.write(text)
    for array in arrays:
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; EOFError when the other side is gone."""
    (length,) = struct.unpack("<Q", _exactly(stream, 8))
    message = json.loads(_exactly(stream, length))

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(v) for v in value]
        if not isinstance(value, dict):
            return value
        if set(value) != {_KEY}:
            return {k: decode(v) for k, v in value.items()}
        dtype, shape = np.dtype(value[_KEY][0]), tuple(value[_KEY][1])
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(bytearray(_exactly(stream, size)), dtype).reshape(shape)

    return decode(message)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the other side closed the pipe")
    return data
