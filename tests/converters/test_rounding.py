"""Weights rounded by a calibration: layers err less by them, and files hold them as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit import calibration
from edgevit.converters.card_in_words import in_words
from edgevit.converters.gptq import rounded
from edgevit.converters.grid import INT8, UINT8, Grid, Stored
from edgevit.converters.rounding import rounded_weights
from edgevit.converters.simulate import Simulation
from edgevit.converters.target import find
from edgevit.pipeline.convert import convert
from edgevit.pipeline.prepared import Limits
from edgevit.pipeline.verify import verify
from edgevit.program import export
from edgevit.recipe import Recipe
from edgevit.reference import CALIBRATION, PROGRAM

GRIDS = (
    INT8,
    UINT8,
    Grid(0, 15, block=32, zero=True),
    Grid(-8, 7, block=32, bf16=True),
    Grid(-127, 127, smallest=2**-6),
)
TARGETS = ("executorch", "tflite", "coreml", "onnx")
FORMS = [(t, p) for t in TARGETS for p in find(t).grids]


def alike(rng, count, width):
    """Rows of numbers in 0..1 that go together, and add up to 1 at most."""
    x = rng.random((count, 4)) @ rng.random((4, width)) + 0.1 * rng.random((count, width))
    return x / x.sum(-1, keepdims=True)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_what_is_rounded_stays_where_it_is(grid):
    """The steps of weights on their steps are the same, so that to the nearest is the identity."""
    torch.manual_seed(0)
    rows = torch.randn(1, 24, 72) * torch.logspace(-3, 1, 24)[:, None]
    rows[0, 3] = rows[0, 3].abs()
    rows[0, 4] = -rows[0, 4].abs()
    rows[0, 5] = 0
    x = torch.randn(72, 9) @ torch.randn(9, 200) + 0.1 * torch.randn(72, 200)
    steps, inputs = grid.steps(rows), (x @ x.mT)[None].double()
    found = rounded(rows, steps, inputs)
    level = found / steps.step
    assert torch.allclose(level, level.round(), atol=1e-9)
    once_more = grid.steps(found.float()).nearest(found.float())
    assert torch.allclose(once_more, found, rtol=1e-6, atol=1e-12)

    def noise(q: Tensor) -> Tensor:
        return ((rows - q) @ x.double()).square().sum()

    assert noise(found) < 0.7 * noise(steps.nearest(rows))


class Mixed(nn.Module):
    """Convolutions of all kinds, a norm, layers with a bias and without, a shared weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.point = nn.Conv2d(3, 32, 4, 4), nn.Conv2d(32, 64, 1)
        self.each = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.some = nn.Conv2d(64, 64, 3, stride=2, padding=1, groups=4, bias=False)
        self.norm, self.fc = nn.LayerNorm(64), nn.Linear(64, 64, bias=False)
        self.kept, self.head = nn.Linear(64, 64), nn.Linear(64, 10)
        self.twice = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        y = self.point(self.stem(x).relu()).relu()
        y = self.some(self.each(y)).flatten(2).mT
        y = self.kept(self.fc(self.norm(y))).relu()
        return self.head(self.twice(self.twice(y)).mean(1))


class Counting(nn.Module):
    """Keeps a sum of what it has read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("sum", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.sum.add_(x.mean())
        return self.conv(x) + self.sum


class Tails(nn.Module):
    """Most of what the last layer reads is less than half a step of 8 bits, and rounded to 0."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 32, 3, padding=1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((2 * self.conv(x)).exp().movedim(1, -1)).mean((1, 2))


@pytest.fixture(scope="module")
def pictures():
    """Smooth ones."""
    rng = np.random.default_rng(0)
    small = rng.normal(0, 1, (40, 3, 4, 4)).astype(np.float32)
    return nn.functional.interpolate(torch.tensor(small), (32, 32), mode="bilinear")


def test_layers_err_less_on_inputs_not_seen(pictures):
    net = Mixed().eval().requires_grad_(False)
    program = replace(export(net, [pictures[:1]], name="net"), keep=("kept",))
    four = Grid(-7, 7)
    stored = Stored(linear=four, conv=four, depthwise=four)
    rows = [(p[None].numpy(),) for p in pictures[:32]]
    exported, said = rounded_weights(program, stored, rows)
    assert said["layers"] == 6
    assert said["channels"] == 32 + 64 + 64 + 64 + 64 + 10
    assert said["channels"] / 2 < said["by_gptq"] <= said["channels"]
    assert 1 <= said["biases"] <= 4
    found, nearest = exported.state_dict, dict(net.state_dict())
    for name, weight in net.state_dict().items():
        if weight.dim() < 2 or name.startswith(("kept", "twice")):
            continue
        levels = four.steps(weight.flatten(1))
        nearest[name] = levels.nearest(weight.flatten(1).double()).float().reshape(weight.shape)
        level = found[name].flatten(1) / levels.step
        assert torch.allclose(level, level.round(), atol=1e-4)
    for name in ("kept.weight", "kept.bias", "twice.weight", "norm.weight"):
        assert torch.equal(found[name], net.state_dict()[name])
    others = pictures[32:]
    plain = net(others)
    by_calibration = torch.cat([exported.module()(p[None]) for p in others])
    net.load_state_dict(nearest)
    assert (by_calibration - plain).square().sum() < 0.7 * (net(others) - plain).square().sum()


def test_biases_make_up_for_what_layers_read_in_8_bits():
    net, drawn = Tails().eval().requires_grad_(False), torch.Generator().manual_seed(0)
    rows = [(x[None].numpy(),) for x in torch.randn(48, 3, 32, 32, generator=drawn)]
    program = export(net, [torch.from_numpy(rows[0][0])], name="net")
    noise = {}
    for static in (False, True):
        stored = Stored(linear=INT8, conv=INT8)
        exported, _ = rounded_weights(program, stored, rows[:32], static=static)
        simulation = Simulation(exported.module(), "w8a8", program.kept)
        simulation.watch(rows[:32])
        simulation.rounded = simulation.blocks
        lost = [simulation.answer(x) - net(torch.from_numpy(*x)) for x in rows[32:]]
        noise[static] = float(torch.stack(lost).square().sum())
    assert noise[True] < 0.1 * noise[False]


def test_a_state_and_what_has_no_steps_are_left_alone(pictures):
    rows = [(p[None].numpy(),) for p in pictures[:16]]
    program = export(Mixed().eval(), [pictures[:1]], name="net")
    assert rounded_weights(program, Stored(), rows)[0] is program.exported
    program = export(Counting().eval(), [pictures[:1]], name="net")
    assert rounded_weights(program, Stored(conv=INT8), rows)[0] is program.exported


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A linear layer whose answers to the unit vectors are its weights, and what calibrates it."""
    torch.manual_seed(0)
    net = nn.Linear(64, 96, bias=False).eval().requires_grad_(False)
    net.weight /= net.weight.abs().amax(1, keepdim=True)
    rng = np.random.default_rng(0)
    rows = np.stack([[alike(rng, 64, 64)] for _ in range(16)]).astype(np.float32)
    rows[:4, :, :8] = np.eye(64, dtype=np.float32)[:8]
    place = tmp_path_factory.mktemp("layer") / "rows.npy"
    np.save(place, rows)
    return net, [(row,) for row in rows], place


@pytest.fixture(scope="module")
def files(layer, tmp_path_factory):
    """In all forms, with what is said of each."""
    net, rows, _ = layer
    folder = tmp_path_factory.mktemp("files")
    export(net, [torch.eye(64)[None]], name="net").save(folder / PROGRAM)
    calibration.save(rows, folder / CALIBRATION)
    made = {}
    for target in TARGETS:
        with Limits().child() as child:
            for precision in find(target).grids:
                file = folder / f"{precision}{find(target).suffix}"
                said = child.call(
                    "edgevit.converters.lowering:lower",
                    target=target,
                    program=folder / PROGRAM,
                    file=file,
                    precision=precision,
                    ios=17,
                )
                made[target, precision] = file, said["rounded"]
    return made


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime", "coremltools")
@pytest.mark.parametrize(("target", "precision"), FORMS)
def test_the_file_has_the_weights_as_they_were_rounded(layer, files, target, precision):
    net, rows, _ = layer
    units = torch.eye(64)[None]
    program = export(net, [units], name="net")
    static = precision == "w8a8"
    exported, said = rounded_weights(program, find(target).grids[precision], rows, static=static)
    wanted = exported.module()(units).detach().numpy()
    file, report = files[target, precision]
    assert report == said
    assert said["by_gptq"] > 48
    (found,) = find(target).load(file)(units.numpy())
    step = np.abs(wanted).max() / (7 if precision == "w4" else 127)
    off = np.abs(found - wanted).max()
    # What w8a8 writes has 8 bits, too; Core ML's steps are fp16.
    assert off < (0.55 if precision == "w8a8" else 0.2 if target == "coreml" else 1e-3) * step
    assert np.abs(wanted - units.numpy() @ net.weight.T.numpy()).max() > 0.55 * step


@pytest.mark.needs("onnxruntime")
def test_the_card_says_how(layer, tmp_path):
    """Of every file that a calibration is given along with; and each can be verified again."""
    net, _, place = layer
    model = net, [torch.eye(64)[None]]

    def made(where, *precisions):
        out = tmp_path / str(bool(where))
        recipe = Recipe("net", calibrate=where)
        return convert(recipe, to=["onnx"], precisions=precisions, out=out, model=model)

    both = made(str(place), "fp32", "w8")
    plain, few = (o.artifact.card for o in both)
    assert "rounded" not in in_words(plain)
    assert plain.recipe["calibrate"] is None
    assert few.recipe["calibrate"] == str(place)
    assert in_words(few)["rounded"].startswith("by the calibration: ")
    (nearest,) = made(None, "w8")
    assert in_words(nearest.artifact.card)["rounded"] == "to the nearest"
    verdicts = verify([o.artifact.path for o in both], model=model)
    assert not [v.error for v in verdicts if v.error]
