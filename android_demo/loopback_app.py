#!/usr/bin/env python3
"""Runs one job of BenchmarkActivity on a JVM, as `am start` would on a phone.

    python3 android_demo/loopback_app.py FILES_DIR TOKEN

FILES_DIR stands for /sdcard/Android/data/org.edgevit.demo/files: FILES_DIR/jobs/TOKEN/job.json is
read, result.json is written beside it. Exit code 0 when the Activity has ended itself. Needs what
build_apk.py leaves in target/. No figure of it is a phone's, and its facts say so.
"""

import subprocess
import sys
from pathlib import Path

import jvm


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    here = Path(__file__).resolve().parent
    if not (here / "target/base.apk").exists():
        print("the app is not built; run android_demo/build_apk.py first")
        return 2
    if not (here / "target/test-classes/com/android/tools/test_config.properties").exists():
        jvm.prepare(here)
    files = Path(sys.argv[1]).resolve()
    words, environment = jvm.command(
        here,
        "org.junit.runner.JUnitCore",
        "org.edgevit.demo.LoopbackApp",
        files=str(files),
        token=sys.argv[2],
    )
    return subprocess.run(words, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
