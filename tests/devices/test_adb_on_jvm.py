"""A phone on loopback whose app is the real one, on a JVM: adb, `am start`, its Activity, a table.

`make test-android` runs this. It is no phone, and the table says so.
"""

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from edgevit.cli import cli
from edgevit.errors import Disagreement
from edgevit.pipeline.convert import convert
from edgevit.pipeline.verify import verify
from edgevit.recipe import Recipe

pytestmark = [
    pytest.mark.android,
    pytest.mark.slow,
    pytest.mark.needs("adbutils", "aapt2", "java", "mvn", "onnxruntime", "litert_torch"),
]


@pytest.fixture(scope="module")
def app(root):
    """The command that runs the app, as `am start` does."""
    demo = root / "android_demo"
    if not (demo / "target/base.apk").exists():
        subprocess.run([sys.executable, demo / "build_apk.py", "--no-test"], check=True)
    return [sys.executable, str(demo / "loopback_app.py")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """EfficientMod-xxs, small, for both runtimes that the app has on a JVM."""
    out = tmp_path_factory.mktemp("artifacts")
    recipe = Recipe("efficientmod_xxs", input_size=64, num_classes=10)
    made = convert(recipe, to=["onnx", "tflite"], out=out)
    return [outcome.artifact.path for outcome in made]


def test_profile_prints_a_table_that_says_it_was_no_phone(plug, app, files):
    phone = plug(app=app)
    quick = ["--rounds", "3", "--warmup", "0.1", "--device", f"adb:{phone.serial}"]
    done = CliRunner().invoke(cli, ["profile", *map(str, files), *quick])
    assert done.exit_code == 0, done.output
    for file in files:
        assert file.name in done.stdout
    assert "onnxruntime" in done.stdout
    assert "tflite" in done.stdout
    assert re.search(r"^on .*\(loopback JVM, not a phone\), Android", done.stdout, re.MULTILINE)
    assert phone.left_over == []


def test_the_numbers_that_the_app_computes_agree_with_float64(plug, app, files):
    phone = plug(app=app)
    verdicts = verify(files, on=f"adb:{phone.serial}")
    for verdict in verdicts:
        assert not isinstance(verdict.error, Disagreement), verdict.error
        assert (verdict.error, verdict.agreement.status) == (None, "agrees")
    assert phone.left_over == []
