"""Packages damaged or of another kind: one sentence each, and nothing is read outside them."""

import re
from functools import partial

import pytest
from spoiled import (
    block_of,
    edited,
    edited_manifest,
    model_file,
    sentence,
    tiny,
)

pytestmark = pytest.mark.needs("coremltools")


def no_manifest(package):
    (package / "Manifest.json").unlink()


def a_folder_as_manifest(package):
    no_manifest(package)
    (package / "Manifest.json").mkdir()


def manifest(text, package):
    (package / "Manifest.json").write_bytes(text)


def root(path, package):
    """The manifest names another file as the model."""
    with edited_manifest(package) as content:
        content["itemInfoEntries"][content["rootModelIdentifier"]]["path"] = path


def a_file_beside_the_package(package):
    (package.parent / "secret.mlmodel").write_bytes(model_file(package).read_bytes())
    root("../../secret.mlmodel", package)


def a_link_out_of_the_package(package):
    outside = package.parent / "outside.mlmodel"
    model_file(package).rename(outside)
    (package / "Data" / "link.mlmodel").symlink_to(outside)
    root("link.mlmodel", package)


def no_model(package):
    model_file(package).unlink()


def model_bytes(change, package):
    file = model_file(package)
    file.write_bytes(change(file.read_bytes()))


def a_neural_network(package):
    with edited(package) as spec:
        layer = spec.neuralNetwork.layers.add()
        layer.custom.className = "Mine"


def another_opset(package):
    with edited(package) as spec:
        function = spec.mlProgram.functions["main"]
        block = block_of(spec)
        function.block_specializations["CoreML19"].CopyFrom(block)
        function.opset = "CoreML19"


def no_block(package):
    with edited(package) as spec:
        spec.mlProgram.functions["main"].block_specializations.clear()


def no_function(package):
    with edited(package) as spec:
        spec.mlProgram.functions.clear()


def another_default_function(package):
    with edited(package) as spec:
        spec.description.defaultFunctionName = "second"


MISSING = r"is damaged: its model '.*' is missing"
NO_MODEL = r"is damaged: its Manifest.json names no model"
DAMAGES = {
    "no manifest": (no_manifest, r"is damaged: it has no Manifest.json"),
    "a folder as manifest": (a_folder_as_manifest, r"is damaged: it has no Manifest.json"),
    "an empty manifest": (partial(manifest, b""), NO_MODEL),
    "a manifest of bytes": (partial(manifest, b"\xff\x00{}"), NO_MODEL),
    "a manifest of something else": (partial(manifest, b'["a"]'), NO_MODEL),
    "a manifest of nothing": (partial(manifest, b"{}"), NO_MODEL),
    "a manifest without end": (partial(manifest, b"[" * 100_000), NO_MODEL),
    "a number as path": (partial(root, 7), NO_MODEL),
    "a path with a zero": (partial(root, "a\0b"), NO_MODEL),
    "half a character as path": (partial(root, "\ud800"), NO_MODEL),
    "a path too long": (partial(root, "x" * 5000), MISSING),
    "a path out of the package": (a_file_beside_the_package, MISSING),
    "a path from the root": (partial(root, "/etc/hostname"), MISSING),
    "a folder as model": (partial(root, "com.apple.CoreML"), MISSING),
    "a link out of the package": (a_link_out_of_the_package, MISSING),
    "no model": (no_model, MISSING),
    "an empty model": (partial(model_bytes, lambda b: b""), r"holds a model of no kind, not an ML"),
    "half a model": (
        partial(model_bytes, lambda b: b[: len(b) // 2]),
        r"is damaged: model.mlmodel is no Core ML model",
    ),
    "a model of text": (
        partial(model_bytes, lambda b: b"Hello, world"),
        r"is damaged: model.mlmodel is no Core ML model",
    ),
    "a neural network": (a_neural_network, r"holds a neuralNetwork, not an ML Program; convert it"),
    "another opset": (another_opset, r"is of opset 'CoreML19', which edgevit does not know: only"),
    "no block": (no_block, r"is damaged: no block for its opset"),
    "no function": (no_function, r"has no function 'main'; there are: none"),
    "another default function": (
        another_default_function,
        r"has no function 'second'; there are: 'main'",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_one_sentence(tmp_path, name):
    package = tiny(tmp_path)
    damage, expected = DAMAGES[name]
    damage(package)
    assert re.search(expected, sentence(package))


def test_what_is_no_package_at_all(tmp_path):
    assert "is damaged: it has no Manifest.json" in sentence(tmp_path / "nowhere.mlpackage")
    (tmp_path / "file.mlpackage").write_bytes(b"PK\x03\x04")
    assert "is damaged: it has no Manifest.json" in sentence(tmp_path / "file.mlpackage")
