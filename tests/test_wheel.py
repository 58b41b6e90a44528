"""The wheel: everything in, nothing else at top level, and a plain install that helps."""

import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "-q", "--wheel", "--out-dir", out, ROOT], check=True)
    (built,) = out.glob("*.whl")
    return built


def test_every_source_file_is_in_it_and_nothing_else_at_top_level(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"edgevit"}
    tracked = subprocess.run(
        ["git", "ls-files", "edgevit", "converters", "profiles"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    inside = {f if f.startswith("edgevit/") else f"edgevit/{f}" for f in tracked}
    assert inside | {"edgevit/constraints.txt"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_apps_sources_that_embed_copies_are_in_it(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from edgevit.pipeline.embed_android import ENGINES, FILES, TEST, moved
from edgevit.pipeline.embed_gradle import app, gradle
from edgevit.pipeline.embed_ios import SWIFT
assert app() == SWIFT.parent / "android_demo"
assert app().is_relative_to({str(tmp_path)!r})
main = "src/main/kotlin/org/edgevit/demo"
for target, engine in ENGINES.items():
    for name in (TEST, engine.source, *(f"{{main}}/{{name}}.kt" for name in FILES)):
        assert "package a.b" in moved(name, target, "a.b")
    assert engine.library in gradle(engine.library, "net.x", "a.b")
print(len(list(SWIFT.glob("*.swift"))))
"""
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "android_demo" in name and "/target/" in name]


def test_an_installed_wheel_works_without_any_runtime(wheel, tmp_path):
    """The wheel's files with only the core's dependencies in reach: every runtime is missing."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
hidden = ("executorch", "litert_torch", "ai_edge_litert", "coremltools", "onnx", "onnxruntime")
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in hidden else find(name, *a)
import edgevit
assert edgevit.__file__.startswith({str(tmp_path)!r})
from edgevit.cli import main
main(sys.argv[1:])
"""
    for target, extra in (("onnx", "onnx"), ("coreml", "coreml"), ("tflite", "tflite")):
        done = subprocess.run(
            [sys.executable, "-P", "-c", script, "convert", "mobilenetv2_100", "--to", target],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 5
        assert f"pip install 'edgevit[{extra}]'" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_extras_are_those_promised():
    markers = (r.partition("extra ==")[2].strip(" '\"") for r in requires("edgevit") or ())
    extras = {extra for extra in markers if extra}
    assert extras == {"executorch", "tflite", "coreml", "onnx", "devices", "test", "all"}


def test_constraints_hold_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        assert name
        assert version
        assert not set(line) & set(" /@:+")
