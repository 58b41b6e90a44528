"""`edgevit embed --android`: what it writes, in whose words, and what it refuses."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner
from known_card import card
from known_classifier import NAMES, classifier, probabilities
from PIL import Image

from edgevit.cli import cli
from edgevit.converters.card import Card
from edgevit.pipeline.embed import without_paths
from edgevit.pipeline.embed_android import ENGINES, FILES, TEST
from edgevit.pipeline.golden import named
from edgevit.recipe import Recipe

pytestmark = pytest.mark.needs("onnx", "onnxruntime")
APP = "android_demo/src/main/kotlin/org/edgevit/demo"


def embed(*arguments):
    return CliRunner().invoke(cli, ["embed", *map(str, arguments)])


def refused(*arguments):
    """The sentence and the exit code; nothing else is left behind than was there before."""
    done = embed(*arguments)
    assert done.exit_code, done.output
    return str(done.exception), getattr(done.exception, "exit_code", None)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """The folder, and what was said as JSON."""
    folder = tmp_path_factory.mktemp("embed")
    made = folder / "app/model"
    artifact = classifier(folder / "net.onnx")
    done = embed(artifact, "--android", made, "--package", "com.example.vision", "--json")
    assert done.exit_code == 0, done.exception
    assert sorted(f.name for f in folder.iterdir()) == ["app", "net.onnx", "net.onnx.json"]
    assert [f.name for f in made.parent.iterdir()] == ["model"]
    return made, json.loads(done.stdout)


def test_it_is_a_module_with_all_its_files(embedded):
    made, said = embedded
    kotlin = "src/main/kotlin/com/example/vision"
    tested = "src/androidTest/resources/com/example/vision"
    assert said["files"] == sorted(str(f.relative_to(made)) for f in made.rglob("*") if f.is_file())
    assert set(said["files"]) == {
        "README.md",
        "build.gradle.kts",
        "consumer-rules.pro",
        "src/androidTest/kotlin/com/example/vision/GoldenTest.kt",
        f"{tested}/golden.json",
        f"{tested}/golden.png",
        "src/main/assets/artifacts/net.onnx",
        "src/main/assets/artifacts/net.onnx.json",
        *(f"{kotlin}/{name}.kt" for name in (*FILES, "OnnxEngine")),
    }
    assets = made / "src/main/assets/artifacts"
    assert (assets / "net.onnx").read_bytes() == (made.parents[1] / "net.onnx").read_bytes()
    whole = Card.read(made.parents[1] / "net.onnx.json")
    assert Card.read(assets / "net.onnx.json") == without_paths(whole)


def test_the_kotlin_is_the_apps_own(embedded, root):
    made, _ = embedded
    for file in made.rglob("*.kt"):
        test = file.name == "GoldenTest.kt"
        own = root / (f"android_demo/{TEST}" if test else f"{APP}/{file.name}")
        ours = own.read_text().replace("org.edgevit.demo", "com.example.vision")
        if file.name == "Engines.kt":
            lines = [line for line in ours.splitlines() if "Tflite" not in line]
            ours = "\n".join(line for line in lines if '"executorch"' not in line) + "\n"
            assert "OnnxEngine(artifact)" in ours
        assert file.read_text() == ours


def test_no_word_is_left_of_what_it_was_taken_from(embedded):
    made, _ = embedded
    for file in made.rglob("*"):
        if file.suffix in (".kt", ".kts", ".md", ".pro"):
            text = file.read_text()
            assert "org.edgevit" not in text, file
            assert "TfliteEngine" not in text, file
            assert "{{" not in text, file


def test_every_class_that_is_named_is_there(root):
    """The app's files that are taken need no file of the app that is not."""
    classes = {}
    for file in (root / APP).glob("*.kt"):
        declared = r"^(?:\w+ )*(?:class|object|interface) (\w+)"
        for name in re.findall(declared, file.read_text(), re.MULTILINE):
            classes.setdefault(name, set()).add(file.stem)
    assert {"MainActivity", "Device", "Score"} <= set(classes)
    for name in FILES:
        text = (root / APP / f"{name}.kt").read_text()
        code = re.sub(r'"(?:[^"\\]|\\.)*"|//.*|/\*[\s\S]*?\*/', "", text)
        for used in set(re.findall(r"\b\w+\b", code)) & set(classes):
            engines = ("TfliteEngine", "OnnxEngine")
            assert classes[used] & {*FILES, *engines}, f"{name} uses {used} of {classes[used]}"


def test_gradle_has_the_apps_versions(embedded, root):
    made, _ = embedded
    written = (made / "build.gradle.kts").read_text()
    app = (root / "android_demo/build.gradle.kts").read_text()
    lines = [line.strip() for line in app.splitlines()]
    for pattern in (r"minSdk = \d+", r"compileSdk = \d+", r"implementation\(.*\)"):
        (line,) = re.findall(rf"^ *({pattern})$", written, re.MULTILINE)
        assert line in lines or f"{line} //" in app
    assert "onnxruntime-android" in written
    assert "litert" not in written
    assert 'noCompress += "onnx"' in written
    assert 'namespace = "com.example.vision"' in written
    for engine in ENGINES.values():
        assert f'implementation("{engine.library}:' in app
        assert (root / "android_demo" / engine.source).is_file()


def test_the_golden_scores_are_the_artifacts_own(embedded):
    made, said = embedded
    folder = made / "src/androidTest/resources/com/example/vision"
    golden = json.loads((folder / "golden.json").read_text())
    exact = probabilities(folder / "golden.png")
    order = np.argsort(-exact)[:5]
    assert [entry["label"] for entry in golden["top"]] == [NAMES[i] for i in order]
    found = [entry["probability"] for entry in golden["top"]]
    np.testing.assert_allclose(found, exact[order], rtol=1e-5)
    assert golden["best"] == [NAMES[order[0]]]
    assert golden["tolerance"] == 1e-5
    assert golden["artifact"] == "net.onnx"
    assert [score["number"] for score in said["golden"]["top"]] == list(order)


def test_a_picture_of_ones_own_is_stored_upright_and_small(tmp_path):
    artifact = classifier(tmp_path / "net.onnx", labels=None)
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdef"))
    values = np.zeros((60, 3000, 3), np.uint8)
    values[:, :1500, 0] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(values).save(tmp_path / "lying.png", exif=exif)
    given = ["--image", tmp_path / "lying.png", "--labels", names]
    done = embed(artifact, "--android", tmp_path / "made", *given)
    assert done.exit_code == 0, done.exception
    assert "20 files of org.edgevit.embedded" in done.stdout
    (file,) = (tmp_path / "made").rglob("golden.png")
    picture = Image.open(file)
    assert picture.size == (20, 1024)
    assert picture.getpixel((10, 100)) == (200, 0, 0)
    assert picture.getpixel((10, 900)) == (0, 0, 0)
    (kept,) = (tmp_path / "made").rglob("net.onnx.json")
    assert Card.read(kept).labels == list("abcdef")
    assert Card.read(tmp_path / "net.onnx.json").labels is None


def test_no_path_of_this_machine_goes_into_an_app():
    recipe = Recipe("/a/net.py:net", weights="/a/w.pth", precision="w8a8", calibrate="/a/pictures")
    whole = card(recipe=recipe.as_dict(), sources={"/a/net.py": "0"})
    kept = without_paths(whole)
    assert "/a/" not in str(asdict(kept))
    chosen = [kept.recipe[key] for key in ("model", "weights", "calibrate", "costs")]
    assert chosen == ["net.py:net", "w.pth", "pictures", None]
    assert kept.sources == {"net.py": "0"}
    assert without_paths(kept) == kept


def test_without_labels_classes_are_numbered_as_the_app_does():
    assert named(3, None) == "class 3"
    assert named(3, "猫") == "猫"
