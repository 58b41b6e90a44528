"""One Android device behind the adb server: commands, files both ways, and errors in a sentence.

adbutils opens the connections. What goes over them is ours: of a refused file it drops the device's
reason ("No space left on device"), and of a device that is gone it leaves the socket open.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from edgevit.errors import DeviceError, first_line

from .adb_server import in_words, listed

if TYPE_CHECKING:
    from adbutils import AdbClient

PIECE = 64 * 1024  # the most that adb's DATA packet may hold
MODE = 0o100644  # a plain file
TRANSFER_S = 60.0  # for any one piece of a file
STDOUT, STDERR, EXIT = 1, 2, 3  # the packets of shell v2, which Android has since 7.0


class Link:
    """A device by its serial. DeviceError from any call."""

    def __init__(self, server: "AdbClient", serial: str) -> None:
        self._server, self.serial = server, serial

    def run(self, command: str, *, timeout_s: float = 60.0) -> tuple[int, str]:
        """Exit code and everything it printed; the command is read by the device's shell.

        timeout_s: for how long it may print nothing.
        """
        said = b""
        with self._service(f"shell,v2,raw:{command}", timeout_s) as c:
            while True:
                kind, size = struct.unpack("<BI", c.read_exact(5))
                data = c.read_exact(size)
                if kind == EXIT:
                    return data[0], said.decode(errors="replace").strip()
                said += data

    def push(self, source: Path | bytes, path: str, *, mode: int = MODE) -> None:
        """Write a file on the device, in a folder that is there."""
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as content:
            refusal = self._send(content, f"{path},{mode}".encode())
        if refusal:
            raise DeviceError(f"{self.serial} refuses {path}: {refusal}{cure(refusal)}")

    def pull(self, path: str) -> bytes:
        pieces = []
        with self._service("sync:", TRANSFER_S) as c:
            c.conn.sendall(b"RECV" + _counted(path.encode()))
            while (kind := c.read_exact(4)) == b"DATA":
                pieces.append(_read_counted(c))
            refusal = _read_counted(c).decode(errors="replace") if kind == b"FAIL" else ""
        if refusal:
            raise DeviceError(f"{self.serial} does not give {path}: {refusal}")
        return b"".join(pieces)

    def _send(self, content: BinaryIO, where: bytes) -> str:
        """What the device says against it; nothing if the file is there."""
        with self._service("sync:", TRANSFER_S) as c:
            c.conn.sendall(b"SEND" + _counted(where))
            while piece := content.read(PIECE):
                c.conn.sendall(b"DATA" + _counted(piece))
            c.conn.sendall(b"DONE" + struct.pack("<I", 0))
            answer = c.read_exact(4)
            said = _read_counted(c).decode(errors="replace")
        return said or "no reason given" if answer != b"OKAY" else ""

    @contextmanager
    def _service(self, name: str, timeout_s: float) -> Iterator[Any]:
        """A connection to one of the device's services."""
        from adbutils import AdbError, AdbTimeout

        try:
            with self._server.make_connection(timeout=timeout_s) as c:
                for request in (f"host:transport:{self.serial}", name):
                    c.send_command(request)
                    c.check_okay()
                yield c
        except AdbTimeout:
            raise DeviceError(
                f"{self.serial} does not answer (for {timeout_s:g} s): replug or restart it"
            ) from None
        except (AdbError, OSError, EOFError) as e:
            raise self._explained(e) from None

    def _explained(self, error: Exception) -> DeviceError:
        """A device that went away ends a connection in many ways; the server knows its state."""
        state = listed(self._server).get(self.serial)
        if state is None or state == "offline":
            return DeviceError(
                f"{self.serial} went away in the middle (its state is {state or 'absent'}): "
                "check the cable and try again; what was pushed is removed then"
            )
        if state != "device":
            return DeviceError(f"{self.serial} is {in_words(state)}")
        return DeviceError(f"{self.serial} broke off: adb says {first_line(error)}; try again")


def cure(refusal: str) -> str:
    """What helps against a refusal of the device's file system."""
    return "; free some of its storage" if "No space left" in refusal else ""


def _counted(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def _read_counted(c: Any) -> bytes:
    data: bytes = c.read_exact(struct.unpack("<I", c.read_exact(4))[0])
    return data
