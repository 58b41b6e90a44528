"""Weights in fewer bits are really stored so, smaller, and computed by the file that holds them."""

import numpy as np
import pytest
import torch
from torch import nn

from edgevit import Recipe, convert
from edgevit.converters.coreml_weights import palette
from edgevit.converters.mil.package import read
from edgevit.converters.verify import AGREES
from edgevit.errors import InputError

FORMS = {
    "w8": {"constexpr_blockwise_shift_scale"},
    "w6": {"constexpr_lut_to_dense"},
    "w4": {"constexpr_lut_to_dense"},
    "w4-sparse": {"constexpr_lut_to_sparse", "constexpr_sparse_to_dense"},
}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.GELU(), nn.Conv2d(64, 128, 1), nn.Flatten(), nn.Linear(4608, 32)
    )


@pytest.mark.slow
@pytest.mark.needs("coremltools")
def test_each_form_is_stored_smaller_and_agrees(tmp_path):
    outcomes = convert(
        Recipe("net", ios=18),
        to=["coreml"],
        precisions=["fp16", *FORMS],
        out=tmp_path / "out",
        model=(net(), (torch.rand(1, 3, 8, 8),)),
    )
    assert [str(o.error) for o in outcomes if o.error] == []
    sizes, errors = [], []
    for outcome in outcomes:
        card = outcome.artifact.card
        assert card.agreement.status == AGREES
        _, block, _ = read(outcome.artifact.path)
        stored = {op.type for op in block.operations if op.type.startswith("constexpr_")}
        assert stored == FORMS.get(card.precision, set())
        sizes.append(card.artifact["bytes"])
        errors.append(card.agreement.worst.max_abs_error)
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


@pytest.mark.needs("coremltools")
def test_a_form_that_an_older_ios_lacks_is_one_sentence():
    from edgevit.converters.coreml import refuse_older

    for precision, ios in (("w8", 16), ("w8a8", 17), ("w4", 18)):
        refuse_older(precision, ios)
        with pytest.raises(InputError, match=f"{precision} needs iOS {ios}; convert with --ios"):
            refuse_older(precision, ios - 1)


@pytest.mark.parametrize("drawn", ["standard_normal", "laplace", "uniform"])
@pytest.mark.parametrize(("count", "bits"), [(144, 4), (3072, 4), (50000, 6)])
def test_a_palette_errs_no_more_than_clustering_does(drawn, count, bits):
    from sklearn.cluster import KMeans

    weights = getattr(np.random.default_rng(0), drawn)(size=count).astype(np.float16)
    levels, indices = palette(weights.reshape(8, -1), bits)
    assert levels.dtype == np.float16
    theirs = KMeans(2**bits, n_init=1, tol=1e-2, random_state=0).fit(weights[:, None]).inertia_
    ours = float(((levels[indices].astype(float) - weights) ** 2).sum())
    assert ours <= 1.06 * theirs  # a quarter of a decibel


def test_a_palette_of_fewer_values_than_it_holds_is_exact():
    weights = np.array([0, 0.5, -1, 0.5, 0, 0], np.float16)
    levels, indices = palette(weights, 4)
    assert (levels[indices] == weights).all()
    levels, indices = palette(np.full(2048, 0.25, np.float16), 4)
    assert (levels[indices] == 0.25).all()
