"""An adb server of the tests' own: its own port, and a scratch HOME for its keys."""

import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path


def bundled() -> Path:
    """The adb program that comes with adbutils."""
    import adbutils

    return Path(adbutils.__file__).parent / "binaries" / "adb"


@contextmanager
def adb_server(binary, home):
    """The variables by which all adb clients find this server, and no other."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    variables = {
        "ADBUTILS_ADB_PATH": str(binary),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(home),
        # No phone of the developer's, no emulator; searching for them takes three seconds, too.
        "ADB_USB": "0",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
    }
    env = {**os.environ, **variables}
    subprocess.run([binary, "start-server"], env=env, check=True, capture_output=True)
    try:
        yield variables
    finally:
        subprocess.run([binary, "kill-server"], env=env, check=True, capture_output=True)
