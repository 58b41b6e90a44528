"""Files of 8-bit integers hold them, load, and err no more than 8 bits do."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from mixed_net import Mixed
from torch import Tensor, nn
from torch.nn import functional as F

from edgevit.errors import InputError
from edgevit.pipeline.convert import convert
from edgevit.recipe import INTEGER, Recipe

TARGETS = ("executorch", "tflite", "onnx")


@pytest.fixture(scope="module")
def net() -> Mixed:
    torch.manual_seed(0)
    return Mixed(3).eval()


@pytest.fixture(scope="module")
def converted(net, tmp_path_factory):
    """From precisions, and what is to stay in fp32, to what became of them."""
    out = tmp_path_factory.mktemp("integer")
    np.save(out / "x.npy", np.random.default_rng(0).normal(0, 1, (32, 3, 32, 32)))

    def made(*precisions, keep=()):
        return convert(
            Recipe("mixed", calibrate=str(out / "x.npy"), keep=keep),
            to=TARGETS,
            out=out / f"kept{len(keep)}",
            precisions=precisions,
            model=(net, [torch.zeros(1, 3, 32, 32)]),
        )

    return made


@pytest.fixture(scope="module")
def files(converted):
    """Every precision of every target."""
    return {
        (o.job.target, o.job.recipe.precision): artifact_of(o) for o in converted("fp32", *INTEGER)
    }


def artifact_of(outcome):
    assert not outcome.error
    return outcome.artifact


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
@pytest.mark.parametrize("precision", INTEGER)
@pytest.mark.parametrize("target", TARGETS)
def test_it_is_smaller_and_agrees(files, target, precision):
    plain, made = files[target, "fp32"], files[target, precision]
    worst = made.card.agreement.worst
    assert 20 < worst.snr_db < 60, "an error of 8 bits, neither more nor less"
    assert made.card.artifact["bytes"] < plain.card.artifact["bytes"]
    assert made.card.recipe["calibrate"]
    assert made.card.rewrites["rounded"]["layers"] > 1
    if target != "onnx":
        assert made.card.placement.partitions == 1
        assert not made.card.placement.outside


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
def test_what_is_kept_stays_in_fp32(files, converted):
    """One of the products: a larger file, no worse. All: nothing is left to be in 8 bits."""
    for one in converted(*INTEGER, keep=("mlp.0",)):
        precision = one.job.recipe.precision
        plain, kept = files[one.job.target, precision].card, artifact_of(one).card
        assert kept.artifact["bytes"] - plain.artifact["bytes"] > 2 * 128 * 32, "4 bytes for 1"
        assert kept.agreement.worst.snr_db > plain.agreement.worst.snr_db - 3
    for none in converted("w8a8", keep=("", "stem", "mlp", "head")):
        assert re.search("leaves all .* as they are", str(none.error)), none.job.target


class Normed(nn.Module):
    """Tokens over the mean of their squares, a product with 1/C as the rewrites make it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("mean", torch.full((64, 64), 1 / 64))
        self.inner, self.head = nn.Linear(64, 64), nn.Linear(64, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(x * (F.linear(x * x, self.mean) + 1e-6).rsqrt()).relu())


@pytest.mark.needs("executorch", "litert_torch", "onnxruntime")
def test_a_norms_product_stays_in_fp32(tmp_path):
    """Squares of loud and quiet tokens are on one range: in 8 bits the quiet ones would be 0."""
    rng = np.random.default_rng(0)
    loud = 10.0 ** rng.uniform(-2, 2, (32, 8, 1))
    np.save(tmp_path / "x.npy", (loud * rng.normal(0, 1, (32, 8, 64))).astype(np.float32))
    for one in convert(
        Recipe("normed", calibrate=str(tmp_path / "x.npy")),
        to=TARGETS,
        out=tmp_path / "out",
        precisions=INTEGER,
        model=(Normed().eval(), [torch.from_numpy(np.load(tmp_path / "x.npy")[:1])]),
    ):
        assert artifact_of(one).card.agreement.worst.snr_db > 25, one.job


def test_what_is_kept_must_be_there(net, tmp_path):
    recipe = Recipe("mixed", precision="dyn8", keep=("mlp.0", "fc"))
    (outcome,) = convert(
        recipe,
        to=["onnx"],
        out=tmp_path,
        precisions=["dyn8"],
        model=(net, [torch.zeros(1, 3, 32, 32)]),
    )
    assert re.search("no convolution or linear layer in 'fc'", str(outcome.error))


def test_w8a8_needs_to_know_what_is_usual():
    with pytest.raises(InputError, match="give --calibrate"):
        replace(Recipe("m"), precision="w8a8")
