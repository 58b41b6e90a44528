"""Packages damaged or of another kind: one sentence each, and nothing is read outside them."""

import re
import struct
from functools import partial

import pytest
from spoiled import (
    block_of,
    edited,
    edited_manifest,
    model_file,
    operation,
    sentence,
    tiny,
    weights_file,
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


def no_weights(package):
    weights_file(package).unlink()


def weights(change, package):
    data = bytearray(weights_file(package).read_bytes())
    change(data)
    weights_file(package).write_bytes(data)


def header(at, form, value):
    """A field of the first blob's header, which stands at byte 64."""

    def change(data):
        struct.pack_into(form, data, 64 + at, value)

    return partial(weights, change)


def blob(package, **fields):
    with edited(package) as spec:
        value = operation(spec, "p_stem_weight").attributes["val"].blobFileValue
        for name, field in fields.items():
            setattr(value, name, field)


def weights_beside_the_package(package):
    (package.parent / "secret.bin").write_bytes(weights_file(package).read_bytes())
    blob(package, fileName="@model_path/../../../secret.bin")


def cut(n):
    return partial(weights, lambda data: data.__delitem__(slice(n, None)))


MISSING = r"is damaged: its model '.*' is missing"
OUTSIDE = r"names a weights file .* that is not in the package"
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
    "no weights": (no_weights, OUTSIDE),
    "weights cut in the data": (cut(200), r"weights at byte 128 that end past the end of"),
    "weights cut in the header": (cut(100), r"weights at byte 64, past the end of"),
    "empty weights": (cut(0), r"weights at byte 64, past the end of"),
    "another magic": (header(0, "<I", 7), r"has no weights at byte 64 .*: wrong magic"),
    "another format": (header(4, "<I", 77), r"has weights of format 77 at byte 64, not fp32"),
    "a size too small": (header(8, "<Q", 4), r"has 4 bytes for 108 values of fp32"),
    "a size too large": (header(8, "<Q", 2**63), r"weights at byte 128 that end past the end of"),
    "data past the end": (
        header(16, "<Q", 2**64 - 1),
        r"weights at byte \d+ that end past the end",
    ),
    "an offset past the end": (
        partial(blob, offset=2**63),
        r"weights at byte \d+, past the end of",
    ),
    "an offset between blobs": (
        partial(blob, offset=65),
        r"has no weights at byte 65 .*: wrong mag",
    ),
    "weights out of the package": (weights_beside_the_package, OUTSIDE),
    "weights from the root": (partial(blob, fileName="/etc/hostname"), OUTSIDE),
    "weights that are a folder": (partial(blob, fileName="@model_path/weights"), OUTSIDE),
    "weights without a name": (partial(blob, fileName=""), OUTSIDE),
    "weights with a name too long": (partial(blob, fileName="x" * 5000), r"cannot be read: "),
    "weights with a zero in their name": (partial(blob, fileName="a\0b"), r"cannot be read: "),
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
