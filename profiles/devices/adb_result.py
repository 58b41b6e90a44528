"""What the app answers, as Runs: raw seconds as they came, the phone's facts as Context."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import edgevit
from edgevit.errors import DeviceError, EdgevitError, by_name

from ..run import Context, Run
from ..variant import Item


def runs(
    result: Mapping[str, Any], items: Sequence[Item], *, serial: str, threads: int, device: str
) -> list[Run | EdgevitError]:
    """For each item, in order, its Run or the error that ended it there.

    device: a name in place of the phone's own. Where the app says that it ran in no phone, the
    name says so too, whoever gave it.
    """
    with understood(serial):
        facts = _facts(result["facts"], serial, device)
        return [
            error_of(found, item.label)
            or _run(found, item, facts, threads, result, control=number == 0)
            for number, (item, found) in enumerate(zip(items, result["items"], strict=True))
        ]


def outputs(
    result: Mapping[str, Any], label: str, *, serial: str, pull: Callable[[str], bytes]
) -> list[tuple[np.ndarray, ...]]:
    """What the one item computed, for each row of inputs; raises the error that kept it from it.

    pull: the bytes of one of the job's files.
    """
    with understood(serial):
        (found,) = result["items"]
        if error := error_of(found, label):
            raise error
        return [
            tuple(
                np.frombuffer(pull(name), np.dtype(port["dtype"])).reshape(port["shape"])
                for name, port in zip(names, found["outputs"], strict=True)
            )
            for names in found["outputs_of_rows"]
        ]


@contextmanager
def understood(serial: str) -> Iterator[None]:
    """Around what reads a result: one that lacks something is of another app's version."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as e:
        raise DeviceError(
            f"the app on {serial} answers with an incomplete result ({type(e).__name__}: {e}): "
            "install the app of this edgevit"
        ) from None


def error_of(found: Mapping[str, Any], label: str) -> EdgevitError | None:
    """The error in a result or in an item of it; of a kind that this edgevit lacks, a plain one."""
    if not (error := found["error"]):
        return None
    kind = by_name(error["kind"])
    return (kind or DeviceError)(
        f"{label}: {'' if kind else error['kind'] + ': '}{error['message']}"
    )


def _facts(said: Mapping[str, Any], serial: str, device: str) -> dict[str, Any]:
    name = device or said["device"]
    return {
        "device": f"{name} ({said['place']})" if said.get("place") else name,
        "host": said.get("host") or serial,
        "os": said["os"],
        "cpu": said.get("cpu") or said.get("soc") or "",
        "family": said.get("family") or "",
        "flags": tuple(said.get("flags") or ()),
        "cores": said["cores"],
    }


def _run(
    found: Mapping[str, Any],
    item: Item,
    facts: Mapping[str, Any],
    threads: int,
    result: Mapping[str, Any],
    *,
    control: bool,
) -> Run:
    return Run(
        name=item.label,
        context=Context(
            **facts,
            threads=threads,
            runtime=found["runtime"],
            runtime_version=found["runtime_version"],
            artifact=item.file.name,
            sha256=item.sha256,
            precision=item.precision,
            placement=found.get("placement") or item.placement,
            edgevit=edgevit.__version__,
        ),
        rounds_s=_rounds(found["rounds_s"]),
        warmups_s=tuple(map(float, found["warmups_s"])),
        load_s=float(found["load_s"]),
        first_run_s=float(found["first_run_s"]),
        peak_memory_bytes=int(found.get("peak_memory_bytes") or 0),
        cores_used=found["cpu_s"] / found["timed_s"],
        macs=item.macs,
        control_s=_rounds(result.get("control_s") or ()) if control else (),
        state=tuple(dict(state) for state in result.get("state") or ()),
        started=result["started"],
    )


def _rounds(blocks: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, block)) for block in blocks)
