"""Weights tuned for 8 bits: what they win back in the files, and what is said where they do not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.errors import InputError
from edgevit.models.model import Model
from edgevit.pictures import pictures_in
from edgevit.pipeline import recover as recovering
from edgevit.pipeline.lessons import Lessons, fits
from edgevit.pipeline.quantize import quantize
from edgevit.pipeline.recover import Recovered, recover
from edgevit.preprocess import Preprocess
from edgevit.recipe import Recipe
from edgevit.transforms.finetune import finetune

CLASSES, EACH, SIDE = 4, 60, 16
NET = """
import torch
from torch import nn
from edgevit.preprocess import Preprocess

def net():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 16, 3, stride=2),
        nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))
    net.preprocess = Preprocess(16, 16, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
    return net
"""


def gratings():
    """Waves in four directions, of any phase, in noise: uint8 [N, SIDE, SIDE, 3] and labels."""
    rng, axis = np.random.default_rng(0), np.arange(SIDE)
    labels = np.repeat(np.arange(CLASSES), EACH)
    turn, phase = labels[:, None, None] * np.pi / CLASSES, rng.uniform(0, 6, (len(labels), 1, 1))
    wave = np.sin(axis[:, None] * np.cos(turn) + axis * np.sin(turn) + phase)
    noisy = wave[..., None] * 0.25 + 0.5 + rng.normal(0, 0.45, (len(labels), SIDE, SIDE, 3))
    return (noisy.clip(0, 1) * 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The net's file, its weights, and pictures in a folder for each class.

    Each channel of the first layer is 2.2 times as wide as the one before it; they share a range.
    """
    folder = tmp_path_factory.mktemp("gratings")
    (folder / "net.py").write_text(NET)
    space = {}
    exec(NET, space)
    net = space["net"]()
    prepare: Preprocess = net.preprocess
    images, labels = gratings()
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:03}.png")
    xs = torch.from_numpy(np.concatenate([prepare.apply(Image.fromarray(i)) for i in images]))
    ys = torch.from_numpy(labels)
    seen = torch.from_numpy(np.delete(np.arange(len(labels)), np.s_[4::5]))

    def batches(epoch):
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(epoch))
        return ((xs[i], ys[i]) for i in seen[order].split(32))

    finetune(net, batches, steps=6, epochs=25, rate=1e-2)
    with torch.no_grad():
        width = 2.2 ** torch.arange(8)
        net[1].weight *= width
        net[1].bias *= width
        net[3].weight /= width[:, None, None]
    save_file(net.state_dict(), folder / "net.safetensors")
    return folder


def recipe_of(folder, **more):
    return Recipe(
        f"{folder}/net.py:net",
        weights=f"{folder}/net.safetensors",
        precision="w8a8",
        calibrate=f"{folder}/pictures",
        **more,
    )


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_what_8_bits_cost_is_won_back_in_the_file(trained, tmp_path):
    pictures, ask = pictures_in(trained / "pictures", ""), {"target": "onnx", "out": tmp_path}
    tuned = recover(recipe_of(trained), pictures, epochs=15, rate=3e-4, **ask)
    truth = np.array([p.label for p in pictures[4::5]])
    before, plain, after = ((a == truth).mean() for a in (tuned.before, tuned.plain, tuned.after))
    assert tuned.gains
    assert before < plain < after > 0.9
    assert f"{100 * after:.1f} % tuned for 15 epochs" in tuned.said[1]
    found = quantize(tuned.recipe, pictures=tuned.held_out, plain=tuned.plain, **ask)
    artifact = Artifact.read(tmp_path / "net-w8a8.onnx")
    assert artifact.card.recipe["weights"] == tuned.recipe.weights
    assert artifact.card.model["tuned"] == "15 epochs for w8a8, on 192 pictures"
    prepare = Preprocess.from_dict(artifact.card.preprocess)
    with artifact.open() as session:
        answers = [session(prepare.apply(p.file))[0].argmax() for p in pictures[4::5]]
    assert answers == tuned.after.tolist()
    right = [(a == truth).mean() for a in (tuned.plain, answers)]
    assert found.in_file == pytest.approx(right[0] - right[1])
    assert found.said[-1].endswith("lost on 48 pictures against fp32 before it was tuned")


@pytest.fixture
def counted(monkeypatch):
    """Nothing is converted: a function to say what fp32, 8 bits and 8 bits once tuned name."""

    def say(*answers):
        left = iter(np.array(a) for a in answers)
        outcome = SimpleNamespace(artifact=None)
        monkeypatch.setattr(recovering, "files", lambda *_: [outcome, outcome])
        monkeypatch.setattr(recovering, "classes", lambda *_: next(left))

    return say


TRUTH = [*np.repeat(np.arange(CLASSES), EACH // 5)]
WRONG = [0] * len(TRUTH)


@pytest.mark.slow
def test_training_goes_on_where_it_was_stopped(trained, tmp_path, counted, monkeypatch):
    taught = Lessons.batches

    def tuned(out, stop=None):
        def batches(self, epoch):
            if epoch == stop:
                raise KeyboardInterrupt
            return taught(self, epoch)

        monkeypatch.setattr(Lessons, "batches", batches)
        counted(TRUTH, WRONG, TRUTH, TRUTH)
        pictures = pictures_in(trained / "pictures", "")
        recover(recipe_of(trained), pictures, target="onnx", out=out, epochs=3, rate=1e-3)
        (file,) = out.iterdir()
        assert file.name == "net-w8a8-tuned.safetensors"
        return load_file(file)

    whole = tuned(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "stopped", stop=2)
    (kept,) = (tmp_path / "stopped").iterdir()
    assert kept.name == "net-w8a8-tuned.checkpoint.safetensors"
    resumed, before = tuned(tmp_path / "stopped"), load_file(trained / "net.safetensors")
    for name, value in whole.items():
        assert torch.equal(value, resumed[name])
        learns = not name.startswith(("1.running", "1.num"))
        assert torch.equal(value, before[name]) != learns, name


def test_where_nothing_is_lost_nothing_is_trained(trained, tmp_path, counted):
    counted(TRUTH, TRUTH)
    pictures, out = pictures_in(trained / "pictures", ""), tmp_path / "out"
    found = recover(recipe_of(trained), pictures, target="onnx", out=out, epochs=3, rate=1e-3)
    assert not found.gains
    assert found.said == [
        "all 48 pictures held out get fp32's class in 8 bits: nothing to tune for"
    ]
    assert not out.exists()


def test_no_gain_is_said(trained, tmp_path, counted):
    counted(TRUTH, WRONG, TRUTH, WRONG)
    pictures = pictures_in(trained / "pictures", "")
    found = recover(recipe_of(trained), pictures, target="onnx", out=tmp_path, epochs=1, rate=0.0)
    assert not found.gains
    assert "0 won back, 0 lost, which is no gain: all below is of the weights" in found.said[-1]


@pytest.mark.parametrize("gains", [True, False])
def test_the_command_goes_on_with_what_is_better(trained, tmp_path, monkeypatch, gains):
    pictures = pictures_in(trained / "pictures", "")
    good, bad = np.array(TRUTH), np.array(WRONG)
    better = recipe_of(trained, seed=3)
    tuned = Recovered(better, 1, (*pictures[4::5],), good, bad, good if gains else bad, good)
    asked = {}

    def stop(recipe, **more):
        asked.update(more, recipe=recipe)
        raise InputError("asked")

    monkeypatch.setattr("edgevit.pipeline.recover.recover", lambda *_, **__: tuned)
    monkeypatch.setattr("edgevit.pipeline.quantize.quantize", stop)
    words = ["quantize", "net", "--calibrate", "random", "--data", f"{trained}/pictures"]
    found = CliRunner().invoke(cli, [*words, "--epochs", "1", "--min-agreement", "0.9"])
    assert str(found.exception) == "asked"
    assert (asked["recipe"] == better) == gains
    assert asked["plain"] is (good if gains else None)
    counted = pictures[4::5] if gains else pictures
    assert [p.file for p in asked["pictures"]] == [p.file for p in counted]
    assert {p.label for p in asked["pictures"]} == {None}


def test_epochs_without_pictures(trained, monkeypatch):
    monkeypatch.chdir(trained)
    found = CliRunner().invoke(
        cli, ["quantize", "net.py:net", "--calibrate", "pictures", "--epochs", "3"]
    )
    assert isinstance(found.exception, InputError)
    assert "--epochs needs --data" in str(found.exception)


def test_folders_that_are_not_the_models_classes(trained, tmp_path):
    pictures = [p for p in pictures_in(trained / "pictures", "") if p.label < 3]
    with pytest.raises(InputError, match=r"--data has 3 folders, .* names 4 classes"):
        recover(recipe_of(trained), pictures, target="onnx", out=tmp_path, epochs=1, rate=1e-3)


class Named(nn.Module):
    def forward(self, x):
        return {"scores": x.mean((2, 3))}


@pytest.mark.parametrize(
    ("module", "inputs", "said"),
    [
        (nn.Conv2d(3, 4, 1), 1, r"1 inputs and gives \[1, 4, 5, 5\]"),
        (Named(), 1, "1 inputs and gives a dict"),
        (nn.Bilinear(5, 5, 4), 2, r"2 inputs and gives \[1, 3, 5, 4\]"),
    ],
)
def test_what_names_no_class_is_refused(module, inputs, said):
    model = Model("m", module, (torch.zeros(1, 3, 5, 5),) * inputs, None)
    with pytest.raises(InputError, match=f"names its class: m has {said}"):
        fits(model, None)
