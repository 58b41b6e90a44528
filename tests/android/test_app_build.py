"""The app is built from nothing, tested on a JVM and inspected; `make test-android` runs this."""

import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pytestmark = [
    pytest.mark.android,
    pytest.mark.slow,
    pytest.mark.needs("aapt", "aapt2", "apksigner", "dexdump", "gcc", "java", "mvn", "zipalign"),
]


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """The APK, and what build_apk.py printed; the tests on the JVM have run."""
    apk = tmp_path_factory.mktemp("apk") / "edgevit.apk"
    words = [sys.executable, root / "android_demo/build_apk.py", "--out", apk]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return apk, done.stdout


def test_it_says_what_it_checked(built):
    apk, said = built
    assert int(re.search(r"OK \((\d+) tests\)", said)[1]) >= 20
    assert "package: name='org.edgevit.demo'" in said
    assert "no network permission" in said
    assert "segments aligned to" in said
    assert said.rstrip().endswith(f"{apk}: built, tested on the JVM, run on no phone")


def test_native_libraries_are_stored_at_page_boundaries(built):
    apk, _ = built
    with zipfile.ZipFile(apk) as opened, apk.open("rb") as raw:
        libraries = [i for i in opened.infolist() if i.filename.endswith(".so")]
        assert {i.filename.split("/")[1] for i in libraries} == {"arm64-v8a", "x86_64"}
        for library in libraries:
            raw.seek(library.header_offset + 26)
            name, extra = np.frombuffer(raw.read(4), "<u2")
            assert library.compress_type == zipfile.ZIP_STORED
            assert (library.header_offset + 30 + int(name) + int(extra)) % 16384 == 0


def test_the_dex_holds_the_app_and_the_runtimes(built):
    apk, _ = built
    listed = subprocess.run(["dexdump", "-f", apk], capture_output=True, text=True).stdout
    classes = set(re.findall(r"Class descriptor *: 'L([^;]+);'", listed))
    for name in ("MainActivity", "BenchmarkActivity", "ExecutorchEngine", "Preprocess"):
        assert f"org/edgevit/demo/{name}" in classes
    assert "org/tensorflow/lite/Interpreter" in classes
    assert "ai/onnxruntime/OrtSession" in classes
    assert not [name for name in classes if name.startswith("org/pytorch")]


def test_another_process_runs_a_job(built, root, tmp_path):
    """What a phone's `am start` does, down to the result on the disk."""
    folder = tmp_path / "jobs/token123"
    folder.mkdir(parents=True)
    fixtures = root / "android_demo/target/fixtures"
    (tmp_path / "net.onnx").write_bytes((fixtures / "net.onnx").read_bytes())
    item = {"file": "net.onnx", "target": "onnx", "delegate": "cpu"}
    job = {"version": 1, "token": "token123", "job": "profile", "rounds": 2, "items": [item]}
    (folder / "job.json").write_text(json.dumps(job))
    words = [sys.executable, root / "android_demo/loopback_app.py", tmp_path, "token123"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    result = json.loads((folder / "result.json").read_text())
    assert result["error"] is None
    assert result["facts"]["place"] == "loopback JVM, not a phone"
    assert len(result["items"][0]["rounds_s"]) == len(result["control_s"]) == 2
    assert (folder / "progress.txt").read_text() == "measure 2/2\n"
