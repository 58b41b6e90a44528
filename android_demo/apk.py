"""From classes to an APK that is signed and checked: D8, zip, zipalign, keytool, apksigner."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ABIS = ("arm64-v8a", "x86_64")
STORED = (".so", ".arsc", ".tflite", ".onnx", ".pte")  # mapped into memory, not unpacked
PAGE = 16384  # of the newest phones; what is stored begins at a multiple of it
DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes from the same classes
PASSWORD = "android"  # of debug keys everywhere; who publishes signs with a key of their own
# Short runs: what a better compiler or collector of garbage would win, it costs twice.
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
CLASSES = ("MainActivity", "LiveActivity", "BenchmarkActivity", "PhotoProvider", "ExecutorchEngine")


class Refused(Exception):
    """The APK is not what it should be, or cannot be tested."""


def build(here: Path, pom: Any, out: Path) -> Iterator[str]:
    """Writes `out`; yields what was checked of it, and raises Refused for what is wrong."""
    target = here / "target"
    dex = dexed(target, pom)
    unaligned, aligned = target / "unaligned.apk", target / "aligned.apk"
    pack(target, dex, unaligned)
    run("zipalign", "-f", str(PAGE), unaligned, aligned)
    key = target / "debug.keystore"
    if not key.exists():
        made = ["-alias", "androiddebugkey", "-keyalg", "RSA", "-keysize", "2048"]
        made += ["-storepass", PASSWORD, "-keypass", PASSWORD, "-storetype", "PKCS12"]
        made += ["-validity", "10000", "-dname", "CN=Android Debug,O=Android,C=US"]
        run("keytool", "-genkeypair", "-keystore", key, *made)
    out.parent.mkdir(parents=True, exist_ok=True)
    signed = ["--ks", key, "--ks-pass", f"pass:{PASSWORD}", "--min-sdk-version", pom.min_sdk]
    run("apksigner", "sign", *signed, "--v1-signing-enabled", "false", "--out", out, aligned)
    yield from checked(out, pom, target)


def dexed(target: Path, pom: Any) -> Path:
    """classes.dex of the app and its libraries; D8 keeps all, so that nothing looked up is lost."""
    paths = [Path(p) for p in (target / "classpath.txt").read_text().strip().split(os.pathsep)]

    def jar(name: str) -> Path:
        return next(p for p in paths if re.fullmatch(rf"{name}-[\d.]+\.jar", p.name))

    app, onnx = target / "app.jar", target / "onnxruntime-classes.jar"
    zipped(target / "classes", app)
    with zipfile.ZipFile(jar("onnxruntime")) as whole, zipfile.ZipFile(onnx, "w") as classes:
        for name in whole.namelist():  # the desktop's libraries are not for phones
            if name.endswith(".class"):
                classes.writestr(name, whole.read(name))
    libraries = [jar("kotlin-stdlib"), jar("annotations"), onnx]
    aars = ("tensorflow-lite", "tensorflow-lite-api")
    libraries += [target / f"aar/{name}/classes.jar" for name in aars]
    framework = next(p for p in paths if p.name.startswith("android-all-"))
    home = Path(shutil.which("javac") or "").resolve().parents[1]  # android-all has no java.*
    dex = target / "dex"
    shutil.rmtree(dex, ignore_errors=True)
    dex.mkdir()
    d8 = [*JAVA, "-cp", target / "fetched/r8.jar", "com.android.tools.r8.D8", "--release"]
    d8 += ["--min-api", pom.min_sdk, "--lib", framework, "--lib", home, "--output", dex]
    run(*d8, app, *libraries)
    return dex / "classes.dex"


def pack(target: Path, dex: Path, out: Path) -> None:
    """base.apk with code and native libraries; what is to be mapped is stored as it is."""
    with zipfile.ZipFile(target / "base.apk") as base, zipfile.ZipFile(out, "w") as apk:
        entries = [(i.filename, base.read(i.filename)) for i in base.infolist()]
        entries.append(("classes.dex", dex.read_bytes()))
        for library in sorted((target / "aar").glob("*/jni/*/*.so")):
            if library.parent.name in ABIS:
                entries.append((f"lib/{library.parent.name}/{library.name}", library.read_bytes()))
        for name, content in entries:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = (
                zipfile.ZIP_STORED if name.endswith(STORED) else zipfile.ZIP_DEFLATED
            )
            apk.writestr(entry, content)


def checked(apk: Path, pom: Any, target: Path) -> Iterator[str]:
    badging = run("aapt", "dump", "badging", apk)
    for wanted in (
        f"package: name='{pom.package}' versionCode='1' versionName='{pom.version}'",
        f"sdkVersion:'{pom.min_sdk}'",
        f"targetSdkVersion:'{pom.target_sdk}'",
        f"launchable-activity: name='{pom.package}.MainActivity'",
        f"native-code: {' '.join(repr(abi) for abi in ABIS)}",
    ):
        if wanted not in badging:
            raise Refused(f"aapt finds no {wanted} in {apk}")
        yield wanted
    if "android.permission.INTERNET" in badging or "debuggable" in badging:
        raise Refused(f"{apk} may use the network, or is debuggable")
    yield "no network permission, not debuggable"
    verified = run("apksigner", "verify", "--verbose", apk)
    for scheme in ("v2", "v3"):
        if not re.search(rf"Verified using {scheme} scheme .*: true", verified):
            raise Refused(f"{apk} is not signed by scheme {scheme}")
    yield "signed, schemes v2 and v3"
    run("zipalign", "-c", str(PAGE), apk)
    yield f"what is stored is aligned to {PAGE} bytes"
    listed = run("dexdump", "-f", target / "dex/classes.dex")
    found = set(re.findall(r"Class descriptor *: 'L([^;]+);'", listed))
    folder = pom.package.replace(".", "/")
    lost = [c for c in CLASSES if f"{folder}/{c}" not in found]
    if lost or any(name.startswith("org/pytorch/") for name in found):
        raise Refused(f"the dex lacks {lost}, or holds signatures in place of ExecuTorch")
    yield f"{len(found)} classes in the dex, the app's among them"
    yield f"{apk.stat().st_size / 1e6:.1f} MB"
    for library in sorted((target / "aar").glob("*/jni/arm64-v8a/*.so")):
        pages = {
            int(line.split()[-1], 16)
            for line in run("readelf", "-lW", library).splitlines()
            if line.strip().startswith("LOAD")
        }
        fits = "fits" if min(pages) >= PAGE else "takes compatibility mode on"
        yield f"{library.name}: segments aligned to {min(pages)}, which {fits} 16 KB pages"


def zipped(folder: Path, jar: Path) -> None:
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            opened.writestr(zipfile.ZipInfo(str(file.relative_to(folder)), DATE), file.read_bytes())


def run(*command: Any) -> str:
    """Its output; CalledProcessError with that output when it fails."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout
