"""A digest changes with every byte and every name, and with nothing else."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit import digest


def test_of_a_file(tmp_path):
    file = tmp_path / "m ü.pte"
    file.write_bytes(b"bytes" * 100_000)
    assert digest.of(file) == hashlib.sha256(b"bytes" * 100_000).hexdigest()
    assert digest.size_bytes(file) == 500_000


def test_of_a_folder(tmp_path):
    def made(name: str, files: dict[str, bytes]) -> str:
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return digest.of(tmp_path / name)

    first = made("a.mlpackage", {"Data/w.bin": b"1", "Manifest.json": b"2"})
    assert made("b.mlpackage", {"Manifest.json": b"2", "Data/w.bin": b"1"}) == first
    others = [
        {"Data/w.bin": b"2", "Manifest.json": b"1"},
        {"Data/w.bin": b"1", "Manifest.jsom": b"2"},
        {"data/w.bin": b"1", "Manifest.json": b"2"},
        {"Data/w.bin": b"1", "Manifest.json": b"2", "more": b""},
        {"Data/w.bin": b"1"},
    ]
    found = [made(f"{i}.mlpackage", files) for i, files in enumerate(others)]
    assert len({first, *found}) == len(others) + 1
    assert digest.size_bytes(tmp_path / "a.mlpackage") == 2


@given(st.binary(min_size=1, max_size=300), st.data())
def test_one_bit_is_enough(tmp_path_factory, content, data):
    file = tmp_path_factory.mktemp("d") / "m"
    file.write_bytes(content)
    before = digest.of(file)
    at, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    file.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    assert digest.of(file) != before


def test_of_nothing_is_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError):
        digest.of(tmp_path / "missing")


def test_of_our_own_source_covers_the_converters(root, monkeypatch):
    seen = []
    monkeypatch.setattr(digest, "of", lambda file: seen.append(file) or "")
    digest.of_edgevit.__wrapped__()
    assert {f.name for f in seen} >= {"tflite.py", "verify.py", "program.py", "user.py"}
