"""Google's benchmark_model and ExecuTorch's executor_runner on a phone, where the user has them.

    push ── /data/local/tmp/edgevit-TOKEN/ ── run there ── read what it prints ── remove

Neither prints its samples, only figures over all of them, and no other artifact is measured between
them. So the answer is no Run: it has no rounds, and no ratio with an interval can be made of it.
"""

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from edgevit.errors import DeviceError, InputError

from ..variant import Item
from .adb_link import Link

EXECUTABLE = 0o100755
TIMED_OUT = 124  # what `timeout` ends with
COMMANDS = {
    "tflite": "--graph={file} --num_threads={threads} --num_runs={runs}",
    "executorch": "--model_path={file} --cpu_threads={threads} --num_executions={runs}",
}


@dataclass(frozen=True)
class Printed:
    """What a runner says of an artifact; None is what it does not say.

    load_s and first_s: of the runner's own first load and inference. deviation_s: standard.
    """

    name: str
    sha256: str
    device: str
    threads: int
    runs: int
    mean_s: float
    load_s: float | None = None
    first_s: float | None = None
    least_s: float | None = None
    most_s: float | None = None
    deviation_s: float | None = None


def run_by(
    link: Link, runner: Path, item: Item, *, threads: int, runs: int, timeout_s: float
) -> Printed:
    """runs: benchmark_model takes more of them where they would last less than a second."""
    if item.target not in COMMANDS:
        raise InputError(
            f"{item.label}: there are runners for {' and '.join(COMMANDS)}, not for {item.target}"
        )
    if not runner.is_file():
        raise InputError(f"no runner at {runner}; name a binary built for the phone")
    folder = f"/data/local/tmp/edgevit-{secrets.token_hex(8)}"
    program, file = f"{folder}/{runner.name}", f"{folder}/{item.file.name}"
    try:
        link.run(f"mkdir -p {folder}")
        link.push(runner, program, mode=EXECUTABLE)
        link.push(item.file, file)
        how = COMMANDS[item.target].format(file=quote(file), threads=threads, runs=runs)
        limited = f"timeout {timeout_s:g} {quote(program)} {how}"
        command = f"cd {folder} && chmod 755 {quote(program)} && {limited}"
        code, said = link.run(command, timeout_s=timeout_s + 30)
        if code == TIMED_OUT:
            raise DeviceError(
                f"{item.label}: {runner.name} took over {timeout_s:g} s on {link.serial}: give it "
                "longer with --timeout"
            )
        device = link.run("getprop ro.product.model")[1]
    finally:
        with suppress(DeviceError):  # gone, which was said already
            link.run(f"rm -rf {folder}")
    read = {"tflite": _of_benchmark_model, "executorch": _of_executor_runner}[item.target]
    found = read(said) if not code else None
    if not found:
        words = said.splitlines()[-1].strip()[:200] if said else "nothing"
        raise DeviceError(
            f"{item.label}: {runner.name} ended with {code} on {link.serial} and said {words!r}; "
            "is it built for this phone's processor and this artifact's runtime?"
        )
    return Printed(
        name=item.label, sha256=item.sha256, device=device or link.serial, threads=threads, **found
    )


def _of_benchmark_model(said: str) -> dict[str, Any] | None:
    """Its last line of counts is of the measured runs, the one before of the warm-up."""
    counts = re.findall(r"count=\d+.*", said)
    times = re.search(r"Init: ([\d.e+]+), First inference: ([\d.e+]+)", said)
    if not counts or not times:
        return None
    pairs = dict(re.findall(r"(\w+)=([\d.e+]+)", counts[-1]))
    names = {"mean_s": "avg", "least_s": "min", "most_s": "max", "deviation_s": "std"}
    us = {name: float(pairs[key]) * 1e-6 for name, key in names.items() if key in pairs}
    load, first = (float(text) * 1e-6 for text in times.groups())
    return {"runs": int(pairs["count"]), **us, "load_s": load, "first_s": first}


def _of_executor_runner(said: str) -> dict[str, Any] | None:
    """The sum over all executions, the first of them included."""
    found = re.search(r"executed successfully (\d+) time\(s\) in ([\d.]+) ms", said)
    if not found:
        return None
    return {"runs": int(found[1]), "mean_s": float(found[2]) * 1e-3 / int(found[1])}
