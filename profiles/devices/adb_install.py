"""Put the app on a phone: pushed, handed to the package manager, and the pushed file removed."""

import re
import secrets
import zipfile
from pathlib import Path

from edgevit.errors import DeviceError, InputError

from .adb_link import Link

WORDS = {
    "NO_MATCHING_ABIS": "it holds no code for this phone's processor ({abi}): build it for that",
    "INSUFFICIENT_STORAGE": "no space left on the phone: free some of its storage",
    "UPDATE_INCOMPATIBLE": "another build of it is there, signed by somebody else: uninstall that",
    "VERSION_DOWNGRADE": "a newer one is there: uninstall that first",
    "OLDER_SDK": "it needs a newer Android than {android}",
    "USER_RESTRICTED": "the phone forbids it: allow `Install via USB` in its developer options",
}


def install(link: Link, apk: Path) -> None:
    """InputError for what is no APK; DeviceError with the phone's reason."""
    if not apk.is_file() or not zipfile.is_zipfile(apk):
        raise InputError(f"{apk} is no APK; build it, see android_demo")
    there = f"/data/local/tmp/edgevit-{secrets.token_hex(4)}.apk"
    try:
        link.push(apk, there)
        code, said = link.run(f"pm install -r -t {there}", timeout_s=300)
    finally:
        link.run(f"rm -f {there}")
    if not code and "Success" in said:
        return
    reason = re.search(r"INSTALL_(?:FAILED|PARSE_FAILED)_(\w+)", said)
    words = WORDS.get(reason[1] if reason else "", said.splitlines()[-1] if said else "no reason")
    if "{" in words:
        asked = ("ro.product.cpu.abi", "ro.build.version.release")
        abi, android = (link.run(f"getprop {key}")[1] for key in asked)
        words = words.format(abi=abi, android=android)
    raise DeviceError(f"{link.serial} does not install {apk.name}: {words}")
