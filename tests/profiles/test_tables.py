"""Published tables: whole, with provenance, of models that exist, and our counts beside them."""

import dataclasses

import pytest
import timm

from edgevit.errors import InputError, UnknownName
from edgevit.models import MODELS
from edgevit.profiles.tables import NAMES, load
from edgevit.profiles.tables.counts import counts


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_whole(name):
    table = load(name)
    assert table.title
    assert table.source
    assert table.protocol
    assert all(table.devices)
    assert all(table.columns.values())
    for row in table.rows:
        assert list(row) == list(table.columns)
        numbers = {k: v for k, v in row.items() if k.endswith(("_ms", "_m", "_g", "_px", "_pct"))}
        assert all(float(v) > 0 for v in numbers.values() if v)
    texts = [tuple(row.values()) for row in table.rows]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "tome"])
def test_its_models_exist(name):
    for model in filter(None, (row["model"] for row in load(name).rows)):
        assert model in MODELS or timm.is_model(model.removeprefix("timm:")), model
        assert (model in MODELS) != model.startswith("timm:"), model


def test_a_table_that_is_not_there():
    with pytest.raises(UnknownName, match="unknown table 'efficientmo'; did you mean"):
        load("efficientmo")


@pytest.mark.slow
def test_every_row_of_efficientmod_is_built_and_counted():
    table = load("efficientmod")
    found = {c.model: c for c in counts(table)}
    assert len(found) == len(table.rows) == 25
    assert all(int(row["input_px"]) == MODELS[row["model"]].input_px for row in table.rows)
    assert all(f"{c.params_m:.1f}" == c.printed_params_m for c in found.values())
    assert {c.model for c in found.values() if not c.agrees} == set(table.disagreements)
    assert all(c.why == table.disagreements.get(c.model, "") for c in found.values())
    # After re-parameterization; with its branches MobileOne-S2 has 7.885 M parameters.
    assert found["mobileone_s2"].params_m == pytest.approx(7.808, abs=5e-4)


def test_a_count_that_nobody_has_explained():
    table = load("efficientmod")
    row = {**table.rows[0], "macs_g": "0.4"}
    (counted,) = counts(dataclasses.replace(table, rows=(row,)))
    assert (counted.agrees, counted.why) == (False, "nobody has found out why")


def test_a_table_without_counts():
    with pytest.raises(InputError, match="'tome' prints no parameters and MACs"):
        next(counts(load("tome")))
