"""Damaged weights files: one sentence each, and nothing is read outside the package."""

import re
import struct
from functools import partial

import pytest
from spoiled import edited, operation, sentence, tiny, weights_file

pytestmark = pytest.mark.needs("coremltools")


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


OUTSIDE = r"names a weights file .* that is not in the package"
DAMAGES = {
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
