"""This machine as a device, and the facts about it that a Run's Context carries.

What cannot be known is left empty.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from edgevit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgevit.converters.artifact import Session
    from edgevit.errors import EdgevitError

    from ..run import Run
    from ..variant import Item
    from .device import Reachable

# The flags that decide which kernels XNNPACK, MLAS and OpenBLAS take; names of /proc/cpuinfo.
X86_FLAGS = "sse4_1 avx avx2 fma f16c avx_vnni avx512f avx512bw avx512vl avx512_vnni avx512_bf16"
AMX_FLAGS = "avx512_fp16 amx_tile amx_int8 amx_bf16"
ARM_FLAGS = "neon asimd asimdhp fphp asimddp i8mm bf16 sve sve2 sme sme2"
FLAGS = frozenset(f"{X86_FLAGS} {AMX_FLAGS} {ARM_FLAGS}".split())
# macOS says the same through sysctl hw.optional.*: its name → the one above.
MAC_FLAGS = {
    "hw.optional.arm.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
}


def connect(address: str) -> "Here":
    if address:
        raise InputError(f"host is this machine and takes no address, not {address!r}")
    return Here()


def reachable() -> "list[Reachable]":
    from .device import Reachable

    facts = describe()
    return [Reachable("host", facts["device"], facts["cpu"], facts["cores"], facts["os"])]


class Here:
    """See `device.Remote`: nothing is pushed, and nothing to be removed."""

    def profile(self, items: "Sequence[Item]", **settings: Any) -> "list[Run | EdgevitError]":
        from ..bench import profile

        return profile(items, **settings)

    def open(self, item: "Item", *, threads: int, timeout_s: float) -> "Session":
        from edgevit.converters.artifact import Session

        return Session(item.file, item.target, threads=threads, timeout_s=timeout_s)

    def close(self) -> None: ...


def describe() -> dict[str, Any]:
    """device, host, os, cpu, family, flags, cores, memory_bytes, python, numpy."""
    cpu, family, flags = _linux_cpu() if sys.platform == "linux" else _other_cpu()
    return {
        "device": _device() or platform.machine(),
        "host": platform.node(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": cpu or platform.processor() or platform.machine(),
        "family": family,
        "flags": flags,
        "cores": available_cores(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def available_cores() -> int:
    """Logical cores this process may use, which in a container can be fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_for(threads: int) -> tuple[int, ...]:
    """The last of this process's cores, one a thread; empty where that would be all, or unknown.

    The first ones serve most of a system's interrupts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    return tuple(cores[-threads:]) if threads < len(cores) else ()


def state() -> dict[str, Any]:
    """What changes with time and slows a machine; without what this system does not show.

    load_average (1 min), mhz, celsius of the hottest sensor, governor, on_battery.
    """
    clock = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    found = {
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "mhz": round(clock.current) if clock else None,
        "celsius": max((s.current for group in sensors.values() for s in group), default=None),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
        "on_battery": battery and not battery.power_plugged,
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def parse_cpuinfo(text: str) -> tuple[str, str, tuple[str, ...]]:
    """CPU name, "family/model/stepping" and known flags from the text of /proc/cpuinfo.

    Arm has no name there but an implementer and a part, of which every cluster has its own.
    """
    entries: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        seen = entries.setdefault(key.strip(), [])
        if value.strip() not in seen:
            seen.append(value.strip())

    def first(*keys: str) -> str:
        return next((entries[k][0] for k in keys if k in entries), "")

    arm_parts = " + ".join(entries.get("CPU part", ()))
    name = first("model name", "Hardware")
    if not name and arm_parts:
        name = f"Arm {first('CPU implementer')}: {arm_parts}"
    numbers = [first("cpu family"), first("model"), first("stepping")]
    family = "/".join(numbers) if all(numbers) else arm_parts
    words = first("flags", "Features").split()
    return name, family, tuple(sorted(FLAGS.intersection(words)))


def _linux_cpu() -> tuple[str, str, tuple[str, ...]]:
    return parse_cpuinfo(_read("/proc/cpuinfo"))


def _other_cpu() -> tuple[str, str, tuple[str, ...]]:
    if sys.platform != "darwin":
        return platform.processor(), "", ()
    numbers = [_sysctl(f"machdep.cpu.{key}") for key in ("family", "model", "stepping")]
    family = "/".join(numbers) if all(numbers) else _sysctl("hw.cpufamily")
    flags = tuple(sorted(name for key, name in MAC_FLAGS.items() if _sysctl(key) == "1"))
    return _sysctl("machdep.cpu.brand_string"), family, flags


def _device() -> str:
    if sys.platform == "darwin":
        return _sysctl("hw.model")
    board = _read("/sys/firmware/devicetree/base/model").strip("\0\n ")
    vendor, product = (_read(f"/sys/class/dmi/id/{key}") for key in ("sys_vendor", "product_name"))
    return board or f"{vendor.strip()} {product.strip()}".strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _sysctl(key: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
