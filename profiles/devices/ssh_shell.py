"""What `prepare` does on a board by commands, before there is an edgevit that answers calls."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit import packed
from edgevit.errors import DeviceError

from .loop import wait
from .ssh_push import put

if TYPE_CHECKING:
    import asyncssh

INSTALL_S = 1800.0
# One line, and quotes of one kind: any login shell hands it on as it is.
SURVEY = (
    "import json,os,platform,sys;from importlib import metadata;"
    'print(json.dumps([sys.version_info[:2],platform.machine(),os.path.expanduser("~"),'
    'sys.executable,[d.metadata["Name"] for d in metadata.distributions()]]))'
)


class Shell:
    """name: the board's, as errors say it."""

    def __init__(self, connection: "asyncssh.SSHClientConnection", name: str) -> None:
        self.connection, self.name = connection, name

    def run(self, command: str, within_s: float = 60.0) -> tuple[int | None, str, str]:
        import asyncssh

        try:
            done = wait(self.connection.run(command, check=False), within_s)
        except TimeoutError:
            raise DeviceError(f"{self.name}: `{command[:60]}` took over {within_s:g} s") from None
        except (asyncssh.Error, OSError):
            raise DeviceError(f"the connection to {self.name} was cut") from None
        return done.exit_status, str(done.stdout).strip(), str(done.stderr).strip()

    def survey(self, python: str) -> tuple[list[int], str, str, str, set[str]]:
        """Version, machine, home, executable and installed packages of that Python."""
        status, out, err = self.run(f"{shlex.quote(python)} -c {shlex.quote(SURVEY)}")
        try:
            version, machine, home, executable, names = json.loads(out.splitlines()[-1])
        except (ValueError, IndexError):
            said = (err or out or f"exit code {status}").splitlines()[-1][:200]
            raise DeviceError(
                f"{self.name} has no Python called {python} ({said}); name one of 3.11 or newer by "
                "--python"
            ) from None
        if version < [3, 11]:
            raise DeviceError(
                f"{python} on {self.name} is Python {version[0]}.{version[1]}, and edgevit needs "
                "3.11; name a newer one by --python"
            )
        there = {name.lower().replace("_", "-") for name in names if name}
        return version, machine, home, executable, there

    def install(
        self, python: str, place: str, needs: Sequence[str], wheels: Sequence[Path] | None
    ) -> str:
        """Packages into a venv, kept where it was there; its Python."""
        venv = f"{place}/venv"
        status, out, err = self.run(f"{shlex.quote(python)} -m venv {shlex.quote(venv)}", INSTALL_S)
        if status:
            said = [*(err or out).splitlines(), f"exit code {status}"][0][:200]
            raise DeviceError(
                f"{python} on {self.name} makes no venv ({said}); on Debian "
                "`apt install python3-venv` cures that"
            )
        source = "--find-links " + shlex.quote(f"{place}/wheels")
        options = f"--no-index {source}" if wheels is not None else "--only-binary=:all:"
        pip = f"{shlex.quote(venv)}/bin/python -m pip --disable-pip-version-check install"
        try:
            for wheel in wheels or ():
                put(self.connection, self.name, wheel, f"{place}/wheels/{wheel.name}")
            status, out, err = self.run(
                f"{pip} -q --no-compile {options} {' '.join(needs)}", INSTALL_S
            )
        finally:
            with suppress(DeviceError):
                self.run(f"rm -rf {shlex.quote(place)}/wheels")
        if status:
            lines = [line for line in err.splitlines() if line.startswith("ERROR")]
            said = (lines or [f"exit code {status}"])[-1].removeprefix("ERROR: ")[:200]
            cure = "add what is missing" if wheels is not None else "--wheels DIR needs no network"
            raise DeviceError(f"pip on {self.name} failed: {said}; {cure}")
        return f"{venv}/bin/python"

    def bring_code(self, python: str, place: str) -> None:
        """edgevit's files in place of those that were there, and `run`."""
        put(self.connection, self.name, packed.zipped(), f"{place}/code.zip")
        at, by = shlex.quote(place), shlex.quote(python)
        status, _, err = self.run(
            f"cd {at} && rm -rf code && {by} -m zipfile -e code.zip code && rm code.zip"
        )
        if status:
            raise DeviceError(f"edgevit cannot be unpacked on {self.name}: {err[-200:]}")
        run = f"#!/bin/sh\nPYTHONPATH={at}/code exec {by} -P -m edgevit.board {at}\n"
        put(self.connection, self.name, run.encode(), f"{place}/run", mode=0o755)
