"""A card comes back as it was written, and what is no card says why."""

import json

import pytest
from known_card import card

from edgevit.converters.card import SCHEMA, Card, card_of
from edgevit.errors import ArtifactError


def refusal(file) -> str:
    with pytest.raises(ArtifactError) as e:
        Card.read(file)
    assert "\n" not in str(e.value)
    assert str(file) in str(e.value) or "no card" in str(e.value)
    return str(e.value)


def test_a_card_comes_back(tmp_path):
    file = card_of(tmp_path / "ein Netz 猫.onnx")
    assert file.name == "ein Netz 猫.onnx.json"
    for written in (card(), card(placement=None, labels=None, preprocess={"mean": [0.5]}, key="k")):
        written.write(file)
        assert Card.read(file) == written
    assert "Käse" in (card().write(file) or file.read_text(encoding="utf-8"))
    assert [f.name for f in tmp_path.iterdir()] == [file.name]
    assert card().precision == "fp32"


def test_a_newer_card_is_refused_whatever_it_holds(tmp_path):
    file = tmp_path / "card.json"
    file.write_text(json.dumps({"schema": SCHEMA + 1, "something": "new"}))
    assert f"schema {SCHEMA + 1}, this edgevit reads up to {SCHEMA}" in refusal(file)


def test_no_card_says_what_writes_one(tmp_path):
    assert "no card net.onnx.json beside" in refusal(tmp_path / "net.onnx.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '"schema"',
        '{"schema": 1}',
        '{"schema": "1"}',
        '{"schema": null}',
    ],
)
def test_other_json_is_no_card(tmp_path, text):
    file = tmp_path / "card.json"
    file.write_text(text)
    assert "is not an edgevit card" in refusal(file)


def test_what_is_no_file_or_no_text_is_no_card(tmp_path):
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in refusal(tmp_path / "folder")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    assert "is not an edgevit card" in refusal(tmp_path / "bytes")


ODD = (None, 5, "text", [], {}, {"status": 1}, [{}])
FIELDS = ("artifact", "recipe", "model", "agreement", "placement")


@pytest.mark.parametrize(
    ("field", "value"),
    # An artifact may have no placement.
    [(f, v) for f in FIELDS for v in ODD if v or f != "placement"],
    ids=repr,
)
def test_a_field_of_another_kind_is_refused(tmp_path, field, value):
    file = tmp_path / "card.json"
    card().write(file)
    whole = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(whole | {field: value}))
    assert "is not an edgevit card" in refusal(file)


def test_every_field_is_needed_and_no_other_known(tmp_path):
    file = tmp_path / "card.json"
    card().write(file)
    whole = json.loads(file.read_text(encoding="utf-8"))
    for key in whole:
        file.write_text(json.dumps({k: v for k, v in whole.items() if k != key}))
        assert "is not an edgevit card" in refusal(file)
        assert key in refusal(file)
    file.write_text(json.dumps(whole | {"extra": 1}))
    assert "extra" in refusal(file)
