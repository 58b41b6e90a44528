"""Android phones over adb: which answer, and the one that --device names.

    adb_server    the adb server and the devices it knows
    adb_link      commands and files of one, and what goes wrong
    adb_push      artifacts, by digest
    adb_app       a phone, through jobs (adb_job) in the app on it
    adb_result    what the app answers, as Runs
    adb_install   the app, put on it
    adb_runner    a runtime's own runner in place of the app

Listing phones starts nothing on them, but the adb server here if none runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError
from edgevit.lookup import unknown

from ..variant import Item
from .adb_app import Phone
from .adb_install import install as install_on
from .adb_job import PACKAGE
from .adb_link import Link
from .adb_runner import Printed
from .adb_runner import run_by as run_on
from .adb_server import client, in_words, listed

if TYPE_CHECKING:
    from .device import Reachable

KEYS = {
    "maker": "getprop ro.product.manufacturer",
    "model": "getprop ro.product.model",
    "soc": "getprop ro.soc.model",
    "board": "getprop ro.board.platform",
    "android": "getprop ro.build.version.release",
    "cores": "ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l",
    "app": f"pm path {PACKAGE}",
}


def reachable() -> "list[Reachable]":
    server = client()
    return [_about(Link(server, serial), state) for serial, state in listed(server).items()]


def connect(address: str) -> Phone:
    return Phone(_link(address))


def install(address: str, apk: Path) -> str:
    """Put the app on the device; its serial."""
    link = _link(address)
    install_on(link, apk)
    return link.serial


def run_by(
    address: str, runner: Path, item: Item, *, threads: int, runs: int, timeout_s: float
) -> Printed:
    """What a runtime's own runner says of an artifact there."""
    return run_on(_link(address), runner, item, threads=threads, runs=runs, timeout_s=timeout_s)


def _link(address: str) -> Link:
    server = client()
    found = listed(server)
    if not found:
        raise DeviceError(
            "no Android device: plug one in with USB debugging on, or run `adb connect HOST:PORT`"
        )
    ready = [serial for serial, state in found.items() if state == "device"]
    if not address and len(ready) > 1:
        raise DeviceError(f"{len(ready)} Android devices, name one: adb:{', adb:'.join(ready)}")
    serial = address or (ready or list(found))[0]
    if serial not in found:
        raise DeviceError(unknown("Android device", serial, found))
    if serial not in ready:
        raise DeviceError(f"{serial} is {in_words(found[serial])}")
    return Link(server, serial)


def _about(link: Link, state: str) -> "Reachable":
    from .device import Reachable

    name = f"adb:{link.serial}"
    if state != "device":
        return Reachable(name, state=in_words(state))
    try:
        asked = "; ".join(f'echo "{key}=$({command})"' for key, command in KEYS.items())
        pairs = (line.partition("=") for line in link.run(asked, timeout_s=10)[1].splitlines())
    except DeviceError as e:
        return Reachable(name, state=str(e))
    facts = dict.fromkeys(KEYS, "") | {key: value.strip() for key, _, value in pairs}
    return Reachable(
        name,
        model=f"{facts['maker']} {facts['model']}".strip(),
        soc=facts["soc"] or facts["board"],
        cores=int(facts["cores"]) if facts["cores"].isdigit() else None,
        os=f"Android {facts['android']}".strip(),
        state="ready" if facts["app"] else f"app missing: edgevit devices install {name} APK",
    )
