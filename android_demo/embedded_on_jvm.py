#!/usr/bin/env python3
"""Compiles what `edgevit embed --android` wrote, and runs its golden tests on a JVM.

    python3 android_demo/embedded_on_jvm.py WORK DIR...

WORK becomes a project of the app's own pom.xml with the sources of all DIRs in place of the app's;
each was embedded with a --package of its own. One for ExecuTorch is compiled, not run: its library
is not there. Exit code 1 when something does not compile, or a test fails.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import apk
import build_apk
import jvm

HERE = Path(__file__).resolve().parent


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    work, *embedded = (Path(argument).resolve() for argument in sys.argv[1:])
    build_apk.fetch()
    project(work, embedded)
    try:
        apk.run(*build_apk.maven(work), "test-compile")
    except subprocess.CalledProcessError as e:
        print(e.stdout)
        return 1
    for folder in embedded:
        resources = folder / "src/androidTest/resources"
        shutil.copytree(resources, work / "target/test-classes", dirs_exist_ok=True)
    runs_tflite = jvm.prepare(work)
    left_out = {"executorch"} | (set() if runs_tflite else {"tflite"})
    tests = []
    for folder in embedded:
        for test in (folder / "src/androidTest/kotlin").rglob("*Test.kt"):
            name = ".".join(test.relative_to(folder / "src/androidTest/kotlin").parent.parts)
            target = engine(folder)
            if target in left_out:
                print(f"compiled, not run here: {name} of {target}")
            else:
                tests.append(f"{name}.{test.stem}")
    words, environment = jvm.command(work, "org.edgevit.demo.GoldenOnJvmKt", *tests)
    return subprocess.run(words, env=environment).returncode


def project(work: Path, embedded: list[Path]) -> None:
    """The layout of this folder, with others' sources; what was fetched lies in its target/."""
    target = work / "target"
    target.mkdir(parents=True)
    shutil.copy(HERE / "pom.xml", work)
    (target / "aar").symlink_to(HERE / "target/aar")
    for place in ("src/executorch/kotlin", "target/generated", "src/main/assets"):
        (work / place).mkdir(parents=True)
    for folder in embedded:
        for source, place in (
            ("src/main/kotlin", "src/main/kotlin"),
            ("src/main/assets", "src/main/assets"),
            ("src/androidTest/kotlin", "src/test/kotlin"),
        ):
            shutil.copytree(folder / source, work / place, dirs_exist_ok=True)
    shutil.copy(HERE / "src/test/kotlin/org/edgevit/demo/GoldenOnJvm.kt", work / "src/test/kotlin")
    shutil.copytree(HERE / "src/test/resources", target / "test-classes")
    manifest = target / "AndroidManifest.xml"
    manifest.write_text(
        '<manifest xmlns:android="http://schemas.android.com/apk/res/android" '
        'package="org.edgevit.demo"><application/></manifest>'
    )
    link = ["aapt2", "link", "-I", build_apk.FRAMEWORK, "--manifest", manifest]
    apk.run(*link, "-A", work / "src/main/assets", "-o", target / "base.apk")


def engine(folder: Path) -> str:
    """The target of an embedded artifact, as its only line of engines names it."""
    (file,) = (folder / "src/main/kotlin").rglob("Engines.kt")
    (target,) = re.findall(r'^ +"(\w+)" ->', file.read_text(), re.MULTILINE)
    return str(target)


if __name__ == "__main__":
    sys.exit(main())
