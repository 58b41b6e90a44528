"""adb's file transfer, the device's end: STAT, LIST, SEND and RECV of the loopback adbd."""

import stat
import struct
from collections.abc import Callable
from pathlib import Path

PIECE = 64 * 1024  # the most that a DATA packet may hold


def serve_sync(stream, local: Callable[[str], str], *, full: Callable[[], bool]):
    """Answer requests until QUIT. full: whether the disk is, so that what is sent goes nowhere."""
    while (request := stream.read(4)) != b"QUIT":
        asked = stream.read(_number(stream)).decode()
        if request == b"STAT":
            stream.write(b"STAT" + _stat(Path(local(asked))))
        elif request == b"LIST":
            for file in sorted(Path(local(asked)).glob("*")):
                name = file.name.encode()
                stream.write(b"DENT" + _stat(file) + struct.pack("<I", len(name)) + name)
            stream.write(b"DONE" + bytes(16))
        elif request == b"SEND":
            path = Path(local(asked.rpartition(",")[0]))
            stream.write(_receive(stream, Path("/dev/full") if full() else path))
        elif request == b"RECV":
            _give(stream, Path(local(asked)))
        else:
            stream.write(_refusal(f"unknown request {request!r}"))


def _receive(stream, path: Path) -> bytes:
    """Write what comes; all of it is read, also when no more can be written."""
    answer = b"OKAY" + bytes(4)
    try:
        file = path.open("wb", buffering=0)
    except OSError as e:
        file, answer = Path("/dev/null").open("wb"), _refusal(f"couldn't create file: {e.strerror}")
    with file:
        while stream.read(4) == b"DATA":
            piece = stream.read(_number(stream))
            try:
                file.write(piece)
            except OSError as e:
                answer = _refusal(f"write failed: {e.strerror}")
        _number(stream)  # the time of the file, after DONE
    return answer


def _give(stream, path: Path):
    try:
        data = path.read_bytes()
    except OSError as e:
        stream.write(_refusal(e.strerror))
        return
    for at in range(0, len(data), PIECE):
        piece = data[at : at + PIECE]
        stream.write(b"DATA" + struct.pack("<I", len(piece)) + piece)
    stream.write(b"DONE" + bytes(4))


def _stat(path: Path) -> bytes:
    try:
        found = path.stat()
    except OSError:
        return bytes(12)
    mode = stat.S_IFMT(found.st_mode) | stat.S_IMODE(found.st_mode)
    return struct.pack("<3I", mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))


def _number(stream) -> int:
    return struct.unpack("<I", stream.read(4))[0]


def _refusal(text: str) -> bytes:
    return b"FAIL" + struct.pack("<I", len(text)) + text.encode()
