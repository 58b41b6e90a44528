#!/usr/bin/env python3
"""Builds, tests and checks the app without Gradle or an SDK: Python 3.11, a JDK, Maven, Debian.

    python3 android_demo/build_apk.py [--no-test] [--out FILE]

fetch AARs ── aapt2 ── javac + kotlinc ── tests on the JVM ── D8 ── zip ── align ── sign ── check

The tests compute with edgevit's own Python (see jvm.py). No phone takes part.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import apk
import jvm

HERE = Path(__file__).resolve().parent
TARGET = HERE / "target"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")  # of API 29
TOOLS = {  # program → the Debian package that has it
    "java": "openjdk-17-jdk-headless",
    "javac": "openjdk-17-jdk-headless",
    "mvn": "maven",
    "aapt": "aapt",
    "aapt2": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
    "readelf": "binutils",
}


class Pom:
    """What the app is called and made of stands in pom.xml, and only there."""

    def __init__(self) -> None:
        space = {"m": "http://maven.apache.org/POM/4.0.0"}
        root = ElementTree.parse(HERE / "pom.xml").getroot()
        found = root.find("m:properties", space)
        values = {} if found is None else {p.tag.split("}")[1]: p.text or "" for p in found}
        self.package = values["app.package"]
        self.min_sdk = values["app.minSdk"]
        self.target_sdk = values["app.targetSdk"]
        self.version = root.findtext("m:version", "", space)


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--no-test", action="store_true", help="build only")
    asked.add_argument("--out", type=Path, default=TARGET / "edgevit.apk", help="%(default)s")
    chosen = asked.parse_args()
    missing = {package for tool, package in TOOLS.items() if not shutil.which(tool)}
    if not FRAMEWORK.exists():
        missing.add("android-framework-res")
    if missing:
        names = " ".join(sorted(missing))
        print(f"missing; install with: apt-get install --no-install-recommends {names}")
        return 5
    pom = Pom()
    try:
        compile_all(pom)
        if not chosen.no_test:
            jvm.test(HERE)
        for line in apk.build(HERE, pom, chosen.out):
            print("checked:", line)
    except subprocess.CalledProcessError as e:
        print(
            f"{e.cmd[0]} failed with {e.returncode}:",
            *(e.stdout or "").splitlines()[-40:],
            sep="\n",
        )
        return 1
    except apk.Refused as e:
        print(e)
        return 3
    tested = "not tested" if chosen.no_test else "tested on the JVM"
    print(f"{chosen.out}: built, {tested}, run on no phone")
    return 0


def maven(project: Path) -> list[str]:
    """The words that run Maven on a project; its compiler's daemon would outlive the build."""
    os.environ.setdefault("MAVEN_OPTS", " ".join(apk.JAVA[1:]))
    return ["mvn", "-B", "-q", "-f", str(project / "pom.xml"), "-Dkotlin.compiler.daemon=false"]


def fetch() -> None:
    """What Maven cannot put on a class path by itself, in target/aar."""
    if not (TARGET / "fetched/r8.jar").exists():
        apk.run(*maven(HERE), "dependency:copy@fetch")
    for aar in (TARGET / "fetched").glob("*.aar"):
        with zipfile.ZipFile(aar) as opened:
            opened.extractall(TARGET / "aar" / aar.stem)
    signatures()


def compile_all(pom: Pom) -> None:
    """Everything that Maven and aapt2 do: target/classes, target/test-classes, target/base.apk."""
    fetch()
    resources(pom)
    shutil.rmtree(TARGET / "classes", ignore_errors=True)
    shutil.rmtree(TARGET / "test-classes", ignore_errors=True)
    apk.run(*maven(HERE), "test-compile")


def resources(pom: Pom) -> None:
    """R.java and base.apk: the manifest, the resources and the bundled assets."""
    source = HERE / "src/main"
    manifest = (source / "AndroidManifest.xml").read_text()
    named = re.sub(r"<manifest ", f'<manifest package="{pom.package}" ', manifest, count=1)
    (TARGET / "AndroidManifest.xml").write_text(named)
    shutil.rmtree(TARGET / "generated", ignore_errors=True)
    (source / "assets").mkdir(exist_ok=True)
    apk.run("aapt2", "compile", "--dir", source / "res", "-o", TARGET / "resources.zip")
    link = ["aapt2", "link", "-I", FRAMEWORK, "--manifest", TARGET / "AndroidManifest.xml"]
    link += ["--min-sdk-version", pom.min_sdk, "--target-sdk-version", pom.target_sdk]
    link += ["--version-code", "1", "--version-name", pom.version, "-A", source / "assets"]
    link += ["--java", TARGET / "generated", "-o", TARGET / "base.apk", TARGET / "resources.zip"]
    apk.run(*link)


def signatures() -> None:
    """A jar of ExecuTorch's signatures, to compile against."""
    jar = TARGET / "aar/executorch-signatures/classes.jar"
    sources = sorted((HERE / "src/executorch/signatures").rglob("*.java"))
    classes = TARGET / "signatures"
    apk.run("javac", "--release", "17", "-d", classes, *sources)
    jar.parent.mkdir(parents=True, exist_ok=True)
    apk.zipped(classes, jar)


if __name__ == "__main__":
    sys.exit(main())
