"""Weights in fewer bits are really stored so, smaller, and computed by the file that holds them."""

import pytest
import torch
from torch import nn

from edgevit import Recipe, convert
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
    from edgevit.converters.coreml_weights import compress

    with pytest.raises(InputError, match="w4 needs iOS 18; convert with --ios 18"):
        compress(None, "w4", ios=17)
