"""The share of the costs that a file's measured latency leads to; and the table of costs."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from edgevit.errors import InputError
from edgevit.models.model import Model
from edgevit.pipeline import prune_latency, prune_search
from edgevit.pipeline.prune_bench import Bench
from edgevit.pipeline.prune_search import TRIES, Try, searched
from edgevit.recipe import Recipe
from edgevit.transforms.prune_groups import groups_of


def found_by(monkeypatch, measured, least=0.0):
    """What is asked for, and what comes; `narrowed` is faked: these are nets of no layers."""
    asked = []

    def narrowed(found, layers, share, tile, watch):
        if share < least:
            raise InputError("the budget is below the narrowest widths")
        asked.append(share)
        return nn.Identity()

    monkeypatch.setattr(prune_search, "narrowed", narrowed)
    best = searched(
        None, [], Bench("onnx", None), 0.6, lambda at, net: Try(at, net, None, measured(at))
    )
    return asked, best


@pytest.mark.parametrize("measured", [lambda a: a, lambda a: a**2, lambda a: 0.3 + 0.7 * a])
def test_whatever_the_file_takes_the_budget_is_met(monkeypatch, measured):
    asked, best = found_by(monkeypatch, measured)
    assert asked[0] == 0.6
    assert best.got == pytest.approx(0.6, rel=0.05)
    assert len(asked) <= TRIES


def test_the_nearest_is_kept_where_none_is_near(monkeypatch):
    asked, best = found_by(monkeypatch, lambda a: 0.4 + 0.6 * a, least=0.5)
    assert len(asked) == 1  # what is needed next lies below the narrowest
    assert best.got == pytest.approx(0.76)
    with pytest.raises(InputError, match="narrowest"):
        found_by(monkeypatch, lambda a: a, least=0.7)


def test_a_table_of_costs_is_kept_for_the_same_file_threads_and_settings(monkeypatch, tmp_path):
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)).eval()
    (source := tmp_path / "net.py").write_text("1")
    model = Model("net", net, (torch.randn(1, 8),), None, (source,))
    groups, _ = groups_of(net, model.inputs)
    made = []

    def seconds(*args):
        made.append(args)
        return {("0.weight",): 1.0}

    monkeypatch.setattr(prune_latency, "_seconds", seconds)
    recipe, bench = Recipe("net"), Bench("null", tmp_path)

    def again(recipe=recipe, bench=bench):
        made.clear()
        (layer,) = prune_latency.latency_table(recipe, model, groups, bench)
        assert layer.seconds == (1.0,) * len(layer.shares)
        return len(made)

    assert (again(), again()) == (4, 0)
    assert (again(bench=replace(bench, threads=2)), again()) == (4, 4)
    assert again(recipe=replace(recipe, rewrites=())) == 4
    source.write_text("2")
    assert (again(), again()) == (4, 0)
