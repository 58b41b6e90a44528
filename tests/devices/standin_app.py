"""Stands in for the Android app in fast tests: the same job.json, the same result.json, no Android.

It really runs the artifact, in edgevit's own runtimes and by edgevit's own measuring loop, all in
the one process in which it is called. Its facts say that no phone was there.
"""

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgevit.converters import target
from edgevit.errors import EdgevitError, InputError
from edgevit.profiles import bench, timed
from edgevit.profiles.devices import host
from edgevit.profiles.variant import Item

PLACE = "loopback stand-in, not a phone"


@contextmanager
def refusing():
    try:
        yield
    except EdgevitError:
        raise
    except Exception as e:
        raise InputError(f"the engine refuses it: {e}") from None


class InProcess:
    """Answers `bench` as a child would; what a runtime raises is an error in JSON, as there."""

    def __init__(self, slot: int):
        self._slot = slot

    def call(self, function, **arguments):
        with refusing():
            return getattr(timed, function.partition(":")[2])(slot=self._slot, **arguments)

    def close(self): ...


def profiled(job, files: Path, folder: Path) -> dict:
    slots = iter(range(1000))

    def tell(what, done, total):
        (folder / "progress.txt").write_text(f"{what} {done}/{total}\n")

    found = bench.profile(
        [Item(files / item["file"], item["target"]) for item in job["items"]],
        **{
            key: job[key] for key in ("threads", "rounds", "warmup_s", "block_s", "seed", "control")
        },
        start=lambda timeout_s: InProcess(next(slots)),
        probe=None,
        cores_for=lambda threads: (),
        on_progress=tell,
    )
    first = found[0]
    return {
        "items": [
            _refused(run) if isinstance(run, EdgevitError) else _measured(run) for run in found
        ],
        "control_s": [] if isinstance(first, EdgevitError) else first.control_s,
    }


def ran(job, files: Path, folder: Path) -> dict:
    (item,) = job["items"]
    try:
        with refusing():
            loaded = target.find(item["target"]).load(files / item["file"], threads=job["threads"])
    except EdgevitError as e:
        return {"items": [_refused(e)]}
    names, ports = [], []
    for row in range(job["rows"]):
        arrays = [
            np.frombuffer((folder / f"input-{row}-{i}.bin").read_bytes(), port.dtype)
            for i, port in enumerate(loaded.inputs)
        ]
        outputs = loaded(*(a.reshape(p.shape) for a, p in zip(arrays, loaded.inputs, strict=True)))
        ports = [
            {"name": f"{i}", "dtype": str(a.dtype), "shape": a.shape} for i, a in enumerate(outputs)
        ]
        names.append([f"output-{row}-{i}.bin" for i in range(len(outputs))])
        for name, array in zip(names[-1], outputs, strict=True):
            (folder / name).write_bytes(np.ascontiguousarray(array).tobytes())
    return {"items": [{"error": None, "outputs": ports, "outputs_of_rows": names}]}


def _measured(run) -> dict:
    timed_s = float(run.samples_s.sum())
    kept = ("load_s", "first_run_s", "warmups_s", "rounds_s", "peak_memory_bytes")
    return {
        "error": None,
        "runtime": run.context.runtime,
        "runtime_version": run.context.runtime_version,
        **{key: getattr(run, key) for key in kept},
        "cpu_s": run.cores_used * timed_s,
        "timed_s": timed_s,
        "placement": "",
    }


def _refused(error: EdgevitError) -> dict:
    return {"error": {"kind": type(error).__name__, "message": str(error)}}


def main(files: str, token: str):
    folder = Path(files) / "jobs" / token
    job = json.loads((folder / "job.json").read_text())
    said = {
        "version": 1,
        "token": job["token"],
        "error": None,
        "facts": {**host.describe(), "soc": "", "abi": "x86_64", "app": "stand-in", "place": PLACE},
        "state": [{"battery_pct": 80, "power_save": False, "thermal_status": 0}] * 2,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        said |= {"profile": profiled, "run": ran}[job["job"]](job, Path(files), folder)
    except EdgevitError as e:
        said |= _refused(e)
    part = folder / "result.json.part"
    part.write_text(json.dumps(said))
    part.rename(folder / "result.json")
