"""The app on a JVM: the command that starts it under Robolectric, and all its tests.

The tests compare with what edgevit computes in Python, made for each run by fixtures.py with the
Python that has edgevit: this one, or the checkout's .venv.
"""

import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import apk
import tflite_on_glibc

PLACE = "loopback JVM, not a phone"


def command(here: Path, *arguments: str, **properties: str) -> tuple[list[str], dict[str, str]]:
    """What runs `arguments` (a main class and its own) on the classes that were built; and where.

    properties: given to the app as edgevit.NAME.
    """
    target = here / "target"
    native = target / "native"
    paths = (target / "classpath.txt").read_text().strip().split(os.pathsep)
    classes = [str(target / "test-classes"), str(target / "classes")]
    classes += [p for p in paths if "executorch-signatures" not in p]
    words = [*apk.JAVA, "-Xmx1g", "-cp", os.pathsep.join(classes), f"-Djava.library.path={native}"]
    # A stack as large as a phone's first thread has: ONNX Runtime's kernels for some CPUs put about
    # 1 MB on it, which is all that a JVM's threads get, and then it dies without a word.
    words.append("-Xss8m")
    words.append("-Drobolectric.graphicsMode=NATIVE")  # or pictures would have no true pixels
    words += [f"-Dedgevit.{name}={value}" for name, value in {"place": PLACE, **properties}.items()]
    return [*words, *arguments], {**os.environ, "LD_LIBRARY_PATH": str(native)}


def prepare(here: Path) -> bool:
    """What Robolectric and TFLite need; whether TFLite can run on this machine."""
    target = here / "target"
    config = target / "test-classes/com/android/tools/test_config.properties"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f"android_merged_manifest={target}/AndroidManifest.xml\n"
        f"android_resource_apk={target}/base.apk\n"
        f"android_merged_assets={here}/src/main/assets\n"
        "android_custom_package=org.edgevit.demo\n"
    )
    if platform.machine() != "x86_64" or not shutil.which("gcc"):
        return False
    library = target / "aar/tensorflow-lite/jni/x86_64/libtensorflowlite_jni.so"
    tflite_on_glibc.make(library, target / "native")
    return True


def test(here: Path) -> None:
    """All tests; CalledProcessError when one fails, Refused where they cannot run."""
    tflite = prepare(here)
    if not tflite:
        print("not tested: TFLite, whose library needs x86_64 and gcc to run here")
    fixtures = here / "target/fixtures"
    shutil.rmtree(fixtures, ignore_errors=True)
    own = here.parent / ".venv/bin/python"
    if not find_spec("edgevit") and not own.exists():
        raise apk.Refused(
            "the tests compare with edgevit in Python: make .venv/ready, or give --no-test"
        )
    python = sys.executable if find_spec("edgevit") else own
    subprocess.run([python, here / "fixtures.py", fixtures], check=True)
    sources = here / "src/test/kotlin"
    names = sorted(
        str(f.relative_to(sources).with_suffix("")).replace("/", ".")
        for f in sources.rglob("*Test.kt")
    )
    words, environment = command(
        here,
        "org.junit.runner.JUnitCore",
        *names,
        fixtures=str(fixtures),
        tflite=str(tflite).lower(),
    )
    subprocess.run(words, env=environment, check=True)
