"""Both forms of token merging make the same merges, exact ties included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.errors import InputError
from edgevit.transforms.merge_forms import Merging
from edgevit.transforms.merge_tokens import mask, merged_by_index, most, similarity

COUNTS = st.integers(5, 40)


def drawn(seed, batch, count, ties):
    """Tokens that tell their own index, keys, sizes; `ties`: keys of a few directions only."""
    g = torch.Generator().manual_seed(seed)
    keys = torch.randn(batch, count, 6, generator=g)
    if ties:
        directions = torch.eye(6)[:3] * 2
        keys = directions[torch.randint(0, 3, (batch, count), generator=g)]
    sizes = torch.randint(1, 5, (batch, count, 1), generator=g).float()
    return torch.eye(count).expand(batch, -1, -1), keys, sizes


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**30),
    count=COUNTS,
    batch=st.sampled_from([1, 8]),
    ties=st.booleans(),
    protected=st.integers(0, 3),
    share=st.floats(0, 1),
)
def test_the_merges_are_those_of_the_reference(seed, count, batch, ties, protected, share):
    """The tokens are unit vectors, so that each result tells of which tokens it is made."""
    r = round(share * most(count, protected))
    x, keys, sizes = drawn(seed, batch, count, ties)
    expected, total = merged_by_index(x, keys, sizes, r, protected)
    found, its = Merging(count, r, protected)(x, keys, sizes)
    assert found.shape == (batch, count - r, count)
    assert torch.equal(its, total)
    assert torch.equal(found > 0, expected > 0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close((found * its).sum(1), sizes[..., 0])  # nothing is lost
    assert torch.equal(found[:, :protected], x[:, :protected])  # in front, and alone


@pytest.mark.slow
def test_ten_thousand_inputs_of_deit():
    form = Merging(197, 13, 1)
    for seed in range(50):
        x, keys, sizes = drawn(seed, 200, 197, ties=seed % 2 == 1)
        expected, total = merged_by_index(x, keys, sizes, 13, 1)
        found, its = form(x, keys, sizes)
        assert torch.equal(its, total)
        assert torch.equal(found > 0, expected > 0)


def test_protected_tokens_stay_alone():
    x, keys, sizes = drawn(0, 1, 9, ties=True)
    found, _ = Merging(9, most(9, 2), 2)(x, keys, sizes)
    for token in (0, 1):
        (row,) = found[0, :, token].nonzero()[:, 0]
        assert torch.equal(found[0, row], torch.eye(9)[token])


def test_cosines_lie_where_they_should():
    keys = torch.tensor([[[1.0, 0], [1, 0], [0, 1], [-3, 0]]])
    torch.testing.assert_close(similarity(keys, mask(4, 0))[0], torch.tensor([[3.0, 1], [2, 2]]))


@pytest.mark.parametrize(("count", "protected", "r"), [(9, 0, 6), (9, 1, 5), (2, 2, 1)])
def test_more_than_can_merge_is_refused(count, protected, r):
    with pytest.raises(InputError, match="at most"):
        Merging(count, r, protected)
