"""Make a board ready: a Python with the runtimes, edgevit's own code, and what starts it.

~/.cache/edgevit/board/venv   the packages, where the board's Python has not all of them already
                       code   edgevit, as the machine that prepares has it
                       run    starts `edgevit.board` by that Python, on that code
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevit.errors import EdgevitError, InputError
from edgevit.lookup import lookup

from ..variant import Item
from .known_boards import remember
from .ssh import Board
from .ssh_line import PLACE, Line
from .ssh_login import Address, hang_up, login
from .ssh_shell import Shell

CORE = ("numpy", "psutil")
# Target → what runs its files, as pip knows it; onnx is there for the machine's peak in int8.
PACKAGES = {
    "onnx": ("onnxruntime", "onnx"),
    "tflite": ("ai-edge-litert",),
    "executorch": ("executorch",),
}
CHECKS = Path(__file__).parent / "checks"  # a small file for each target, which is run there
CHECK_S = 300.0


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
            executable = shell.install(python, place, needs, chosen if wheels else None)
        watch("copy edgevit")
        shell.bring_code(executable, place)
    finally:
        hang_up(shell.connection)
    remember(board.text)
    return _check(board, ".".join(map(str, version)), runtimes, watch)


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
