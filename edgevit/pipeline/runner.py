"""printed(): what a runtime's own runner on a phone says of artifacts, each run by itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ..converters.artifact import Artifact
from ..errors import EdgevitError, InputError
from ..profiles.devices import adb
from ..profiles.devices.adb_runner import Printed
from .profile import item_of


def printed(
    paths: Sequence[Path | str],
    runner: Path | str,
    *,
    on: str,
    threads: int = 1,
    runs: int = 30,
    timeout_s: float = 600.0,
    watch: Callable[[Path, str], None] = lambda path, stage: None,
) -> list[Printed | EdgevitError]:
    """For each path, in order, the runner's figures or the error that kept it from giving any.

    runner: Google's benchmark_model for .tflite, ExecuTorch's executor_runner for .pte, built for
    the phone. on: adb:SERIAL, or adb: for the only one.
    """
    kind, _, address = on.partition(":")
    if kind != "adb":
        raise InputError(f"a runner runs on a phone: give --device adb:SERIAL, not {on!r}")
    found: list[Printed | EdgevitError] = []
    for path in map(Path, paths):
        watch(path, "run")
        try:
            item = item_of(Artifact.read(path, card_required=False))
            said = adb.run_by(
                address, Path(runner), item, threads=threads, runs=runs, timeout_s=timeout_s
            )
            found.append(said)
        except EdgevitError as e:
            found.append(e)
        watch(path, "done")
    return found
