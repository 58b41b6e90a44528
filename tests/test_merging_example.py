"""The merging example: pictures that are never the same twice, and training with merging on."""

import importlib
from itertools import islice
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("merging")


def test_shapes_are_told_apart_by_where_two_colours_are(example):
    torch.manual_seed(0)
    images, labels = example.drawn(400)
    assert images.shape == (400, 3, 32, 32)
    assert labels.unique().tolist() == list(range(len(importlib.import_module("shapes").SHAPES)))
    assert len({image.numpy().tobytes() for image in images}) == 400
    brightest = images.amax((1, 2, 3)) - images.amin((1, 2, 3))
    assert brightest.min() > 0.5
    (again, _), (other, _) = islice(example.shape_batches(), 2)
    assert not torch.equal(again, other)


def test_training_goes_on_with_merging_on_and_gives_a_plain_model_back(example):
    torch.manual_seed(0)
    model = example.small_vit().eval()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    further = example.tuned(model, example.shape_batches, 2)
    assert not further.training
    changed = {n for n, p in further.state_dict().items() if not torch.equal(p, before[n])}
    assert "blocks.3.mlp.fc2.weight" in changed
    assert all(torch.equal(p, before[n]) for n, p in model.state_dict().items())
    image = torch.randn(1, 3, 32, 32)
    assert further(image).shape == (1, 10)
