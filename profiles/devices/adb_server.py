"""The adb server on this machine: started if none runs, and what it says of its devices."""

import socket
import subprocess
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError, MissingRuntime, first_line

if TYPE_CHECKING:
    from adbutils import AdbClient

ANSWER_S = 10.0  # what the server has for what it can answer itself
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
    found = adbutils.AdbClient(socket_timeout=ANSWER_S)
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
    except (OSError, subprocess.TimeoutExpired) as e:
        said = f"and its own program could not start one: {first_line(e)}"
    except adbutils.AdbError:
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
