"""Make a board ready: a Python with the runtimes, edgevit's own code, and what starts it.

~/.cache/edgevit/board/venv   the packages, where the board's Python has not all of them already
                       code   edgevit, as the machine that prepares has it
                       run    starts `edgevit.board` by that Python, on that code
"""

import json
import shlex
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit import packed
from edgevit.errors import DeviceError, EdgevitError, InputError
from edgevit.lookup import lookup

from ..variant import Item
from .known_boards import remember
from .loop import wait
from .ssh import Board
from .ssh_line import PLACE, Line
from .ssh_login import Address, hang_up, login
from .ssh_push import put

if TYPE_CHECKING:
    import asyncssh

CORE = ("numpy", "psutil")
# Target → what runs its files, as pip knows it; onnx is there for the machine's peak in int8.
PACKAGES = {
    "onnx": ("onnxruntime", "onnx"),
    "tflite": ("ai-edge-litert",),
    "executorch": ("executorch",),
}
CHECKS = Path(__file__).parent / "checks"  # a small file for each target, which is run there
INSTALL_S, CHECK_S = 1800.0, 300.0
SURVEY = (
    "import json,os,platform,sys;from importlib import metadata;"
    "print(json.dumps([sys.version_info[:2],platform.machine(),os.path.expanduser(chr(126)),"
    "sys.executable,[d.metadata[chr(78)+chr(97)+chr(109)+chr(101)] "
    "for d in metadata.distributions()]]))"
)


@dataclass(frozen=True)
class Prepared:
    """What is there now: facts as of `host.describe`, target → version, target → what failed."""

    name: str
    python: str
    facts: dict[str, Any]
    runtimes: dict[str, str] = field(default_factory=dict)
    failed: dict[str, EdgevitError] = field(default_factory=dict)


def prepare(
    address: str,
    *,
    wheels: Path | None = None,
    python: str = "python3",
    runtimes: Sequence[str] = ("onnx", "tflite"),
    watch: Callable[[str], None] = lambda stage: None,
) -> Prepared:
    """Set the board up, again where it was before, and run a file in each of `runtimes` there.

    wheels: a folder of wheels to install from, without a network there. python: of the board, 3.11
    or newer; used as it is where it has all packages, and for a venv otherwise.
    """
    board = Address.of(address)
    needs = [*CORE, *(p for target in runtimes for p in lookup("runtime", target, PACKAGES))]
    files = _wheels(wheels) if wheels else []
    watch("log in")
    shell = Shell(login(board), board.name)
    try:
        watch("look")
        version, machine, home, executable, there = shell.survey(python)
        place = f"{home}/{PLACE}"
        missing = [p for p in needs if p not in there]
        if missing:
            watch(f"install {', '.join(missing)}")
            chosen = [f for f in files if f.stem.endswith(("-any", machine))]
            executable = shell.install(python, place, needs, wheels and chosen)
        watch("copy edgevit")
        shell.bring_code(executable, place)
    finally:
        hang_up(shell.connection)
    remember(board.text)
    return _check(board, ".".join(map(str, version)), runtimes, watch)


class Shell:
    """What is done by commands, before there is an edgevit that answers calls."""

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
            said = (err or out).splitlines()[-1:] or [f"exit code {status}"]
            raise DeviceError(
                f"{python} on {self.name} makes no venv ({said[0][:200]}); on Debian "
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


def _wheels(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.whl"))
    if not found:
        raise InputError(f"--wheels {folder} holds no .whl; `pip download -d {folder}` makes some")
    return found


def _check(
    address: Address, python: str, runtimes: Sequence[str], watch: Callable[[str], None]
) -> Prepared:
    with closing(Board(Line(address))) as board:
        prepared = Prepared(address.name, python, board.describe())
        for target in runtimes:
            watch(f"run {target}")
            (file,) = CHECKS.glob(f"{target}.*")
            try:
                item = board.push(Item(file, target))
                with closing(board.line.child(timeout_s=CHECK_S)) as child:
                    opened = child.call(
                        "edgevit.profiles.timed:open_artifact",
                        target=target,
                        file=item.file,
                        threads=1,
                    )
                prepared.runtimes[target] = opened["version"]
            except EdgevitError as e:
                prepared.failed[target] = e
    return prepared
