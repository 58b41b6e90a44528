"""What `edgevit embed` refuses, each in one sentence, and that it then leaves nothing behind."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from known_classifier import classifier, probabilities
from PIL import Image

from edgevit.cli import cli
from edgevit.converters.verify import REJECTED, SKIPPED

pytestmark = pytest.mark.needs("onnx", "onnxruntime")


def embed(*arguments):
    return CliRunner().invoke(cli, ["embed", *map(str, arguments)])


@pytest.fixture
def place(tmp_path):
    """A folder with an artifact, which is all that is there after the test, too."""
    classifier(tmp_path / "net.onnx")
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    yield tmp_path
    kept = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file() and f in before}
    assert kept == before
    assert not (tmp_path / "made").exists()
    assert not list(tmp_path.glob(".edgevit-*"))


def sentence(*arguments, code=2):
    done = embed(*arguments)
    assert done.exception.exit_code == code, done.exception
    said = str(done.exception)
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preprocess": None}, "its card has no preprocessing"),
        ({"status": SKIPPED}, "was never held against its model"),
        ({"status": REJECTED}, "computes something else than its model"),
        ({"tolerance": 100.0}, "of its 6 classes 6 score within the card's tolerance"),
        ({"labels": ["a", "b"]}, "2 labels for 6 classes"),
    ],
)
def test_by_its_card(place, changes, words):
    other = classifier(place / "other.onnx", **changes)
    assert words in sentence(other, "--android", place / "made")


def test_by_its_ports(place):
    port = {"name": "x", "dtype": "float32", "shape": [1, 3, 8, 8]}
    model = {"name": "net", "parameters": 18, "macs": 18}
    for inputs, outputs, words in (
        ([port, port], [port], "takes float32 [1, 3, 8, 8], float32 [1, 3, 8, 8], not one picture"),
        ([port | {"dtype": "float16"}], [port], "takes float16 [1, 3, 8, 8], not one picture"),
        ([port | {"shape": [1, 3, 9, 9]}], [port], "not one picture as float32 [1, 3, 8, 8]"),
        ([port], [port], "computes [1, 3, 8, 8] first, which are no scores of classes"),
    ):
        ports = {"model": model | {"inputs": inputs, "outputs": outputs}}
        other = classifier(place / "other.onnx", **ports)
        assert words in sentence(other, "--android", place / "made")


def test_for_another_platform(place):
    said = sentence(place / "net.onnx", "--ios", place / "made")
    assert said.endswith("convert the model --to coreml and embed that")
    null = classifier(place / "net.pt2", target="null")
    said = sentence(null, "--android", place / "made")
    assert said.endswith("convert the model --to tflite, onnx or executorch and embed that")


def test_what_is_no_artifact(place):
    assert "no artifact at" in sentence(place / "none.onnx", "--android", place / "made")
    (place / "bare.onnx").write_bytes(b"bare")
    assert "no card bare.onnx.json" in sentence(place / "bare.onnx", "--android", place / "made")
    aside = place / "net.onnx.rejected"
    aside.write_bytes((place / "net.onnx").read_bytes())
    (place / "net.onnx.rejected.json").write_bytes((place / "net.onnx.json").read_bytes())
    assert "no app should have it" in sentence(aside, "--android", place / "made")


def test_pictures_labels_and_packages(place):
    given = [place / "net.onnx", "--android", place / "made"]
    (place / "text.jpg").write_text("no picture")
    assert "no readable picture" in sentence(*given, "--image", place / "text.jpg").replace(
        "not a", "no"
    )
    assert "no picture at" in sentence(*given, "--image", place / "none.jpg")
    (place / "names.txt").write_text("a\nb\n")
    assert "2 labels for 6 classes" in sentence(*given, "--labels", place / "names.txt")
    for package, words in (
        ("vision", "two or more words"),
        ("com.Example", "two or more words"),
        ("com.example/..", "two or more words"),
        ("com.example.fun", "fun is a word of Kotlin or Java"),
    ):
        assert words in sentence(*given, "--package", package)


def test_places_that_hold_something(place, monkeypatch):
    (place / "full").mkdir()
    (place / "full/own.txt").write_text("mine")
    said = sentence(place / "net.onnx", "--android", place / "full", code=6)
    assert "holds other files" in said
    said = sentence(place / "net.onnx", "--android", place / "full/own.txt", code=6)
    assert "in the way" in said
    (place / "here").mkdir()
    monkeypatch.chdir(place / "here")
    assert "the one you are in" in sentence(place / "net.onnx", "--android", ".", code=6)
    assert not list((place / "here").iterdir())


def test_both_platforms_or_none(place):
    for options in ([], ["--android", place / "made", "--ios", place / "made"]):
        done = embed(place / "net.onnx", *options)
        assert done.exit_code == 2
        assert "either --android DIR or --ios DIR" in done.output


def test_near_ties_are_said_and_written_down(tmp_path):
    """A tolerance in which the second class is as good as the first, but no third."""
    picture = tmp_path / "picture.png"
    values = np.random.default_rng(3).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(values).save(picture)
    scores = -np.sort(-np.log(probabilities(picture)))
    tolerance = (2 * scores[0] - scores[1] - scores[2]) / 4
    artifact = classifier(tmp_path / "net.onnx", tolerance=tolerance)
    (tmp_path / "made").mkdir()  # empty, so it may be taken
    done = embed(artifact, "--android", tmp_path / "made", "--image", picture)
    assert done.exit_code == 0, done.exception
    assert "score within the card's tolerance of each other" in done.stderr
    (golden,) = (tmp_path / "made").rglob("golden.json")
    said = json.loads(golden.read_text())
    assert len(said["best"]) == 2
    assert set(said["best"]) == {entry["label"] for entry in said["top"][:2]}
