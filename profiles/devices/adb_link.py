"""One Android device behind adb: commands, files both ways, and what goes wrong as one sentence.

adbutils speaks to the adb server. Sending is our own, because adbutils drops the device's reason
when it refuses a file ("No space left on device"), which is what a user needs to read.
"""

import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgevit.errors import DeviceError, MissingRuntime, first_line

if TYPE_CHECKING:
    from adbutils import AdbClient, AdbDevice

PIECE = 64 * 1024  # the most that adb's DATA packet may hold
MODE = 0o100644  # a plain file
STATES = {
    "unauthorized": "unauthorised: unlock its screen and accept this computer's key there",
    "authorizing": "unauthorised: unlock its screen and accept this computer's key there",
    "offline": "offline: plug it in again, or run `adb reconnect offline`",
    "connecting": "still connecting: try again in a few seconds",
    "no": "closed to this user (no permission for its USB port): see `adb devices`",
}


def client() -> "AdbClient":
    """The adb server, started if none runs; DeviceError where there is none to be had."""
    try:
        import adbutils
    except ImportError:
        raise MissingRuntime(
            "phones are reached through adbutils: pip install 'edgevit[devices]'"
        ) from None
    found = adbutils.AdbClient()
    where = f"{found.host}:{found.port}"
    try:
        socket.create_connection((found.host, found.port), timeout=3).close()
        return found
    except OSError:
        said = "and there is no adb program here to start one: install Android's platform tools"
    try:  # adbutils would start it too, but let it write between our own lines
        command = [adbutils.adb_path(), "start-server"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        if not done.returncode:
            return found
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        said = f"and `{' '.join(command)}` could not start one: {said}"
    except (adbutils.AdbError, OSError, subprocess.TimeoutExpired):
        pass
    raise DeviceError(f"no adb server answers at {where}, {said}")


def listed(server: "AdbClient") -> dict[str, str]:
    """Serial → state, of all that the server knows."""
    from adbutils import AdbError

    try:
        return {one.serial: one.state for one in server.list()}
    except (AdbError, OSError, ValueError) as e:
        raise DeviceError(
            f"what answers at {server.host}:{server.port} is no adb server ({first_line(e)}): "
            "end it, or set ANDROID_ADB_SERVER_PORT"
        ) from None


def in_words(state: str) -> str:
    """What a state of adb's means for whoever wants to use the device."""
    return STATES.get(state, f"in the state {state!r}: start Android on it")


class Link:
    """A device by its serial. DeviceError from any call."""

    def __init__(self, server: "AdbClient", serial: str) -> None:
        self._server, self.serial = server, serial

    @property
    def _device(self) -> "AdbDevice":
        return self._server.device(self.serial)

    def run(self, command: str, *, timeout_s: float = 60.0) -> tuple[int, str]:
        """Exit code and everything it printed; the command is read by the device's shell."""
        with self._explained():
            done = self._device.shell2(command, timeout=timeout_s, v2=True)
        return done.returncode, done.output.strip()

    def push(self, source: Path | bytes, path: str, *, mode: int = MODE) -> None:
        """Write a file on the device, in a folder that is there."""
        import io

        with self._explained():
            content = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            with content:
                refusal = self._send(content, f"{path},{mode}".encode())
        if refusal:
            raise DeviceError(f"{self.serial} refuses {path}: {refusal}{cure(refusal)}")

    def pull(self, path: str) -> bytes:
        with self._explained():
            return self._device.sync.read_bytes(path)

    def _send(self, content: BinaryIO, where: bytes) -> str:
        """What the device says against it; nothing if the file is there."""
        with self._device.open_transport(timeout=60.0) as c:
            c.send_command("sync:")
            c.check_okay()
            c.conn.sendall(b"SEND" + struct.pack("<I", len(where)) + where)
            while piece := content.read(PIECE):
                c.conn.sendall(b"DATA" + struct.pack("<I", len(piece)) + piece)
            c.conn.sendall(b"DONE" + struct.pack("<I", 0))
            answer = c.read_exact(4)
            said = c.read_exact(struct.unpack("<I", c.read_exact(4))[0]).decode(errors="replace")
        return said or "no reason given" if answer != b"OKAY" else ""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What adbutils raises when a device is gone is anything; the server knows which it is."""
        from adbutils import AdbError, AdbTimeout

        try:
            yield
        except (AdbError, OSError, EOFError, ValueError, AssertionError, struct.error) as e:
            state = listed(self._server).get(self.serial)
            if state is None or state == "offline":
                raise DeviceError(
                    f"{self.serial} went away in the middle (its state is {state or 'absent'}): "
                    "check the cable and try again; what was pushed is removed then"
                ) from None
            if state != "device":
                raise DeviceError(f"{self.serial} is {in_words(state)}") from None
            if isinstance(e, AdbTimeout):
                raise DeviceError(f"{self.serial} does not answer: restart it") from None
            raise DeviceError(f"{self.serial}: adb says {first_line(e)}") from None


def cure(refusal: str) -> str:
    """What helps against a refusal of the device's file system."""
    return "; free some of its storage" if "No space left" in refusal else ""
