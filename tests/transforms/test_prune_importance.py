"""What a unit matters, and which go for a budget."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgevit.errors import InputError
from edgevit.transforms.prune_budget import Costs, Layer, allocate, steps_of, strongest
from edgevit.transforms.prune_groups import groups_of
from edgevit.transforms.prune_importance import MEASURES
from edgevit.transforms.prune_narrow import Cut, Group, without
from edgevit.transforms.prune_rebuild import rebuild

WEAK = [1, 4]


def net_of(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )
    return net.eval()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("labelled", [True, False])
def test_units_that_hardly_count_matter_least(measure, labelled):
    net = net_of()
    with torch.no_grad():
        for tensor in (net[0].weight, net[0].bias, net[1].weight, net[1].bias):
            tensor[WEAK] *= 1e-3
        net[3].weight[:, WEAK] *= 1e-3
    images = torch.randn(16, 3, 6, 6)
    labels = torch.arange(16) % 4
    lessons = [(images[i : i + 1], labels[i : i + 1] if labelled else None) for i in range(16)]
    groups, _ = groups_of(net, (images[:1],))
    before = {name: p.clone() for name, p in net.state_dict().items()}
    scores = MEASURES[measure](net, groups, lessons)["0"]
    assert sorted(scores.argsort()[:2].tolist()) == WEAK
    assert scores.min() >= 0
    assert all(torch.equal(p, before[name]) for name, p in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


def test_a_model_without_batch_norms_cannot_be_pruned_by_them():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    groups, _ = groups_of(net, (torch.zeros(1, 3, 2, 2),))
    with pytest.raises(InputError, match="no batch norm to prune by"):
        MEASURES["bn"](net, groups, [])


def test_fisher_is_half_the_mean_square_of_what_fading_changes():
    """Against the loss's derivative by a factor on the unit itself."""
    net, images, labels = net_of(), torch.randn(5, 3, 6, 6), torch.arange(5) % 4
    groups, _ = groups_of(net, (images[:1],))
    lessons = list(zip(images.split(1), labels.split(1), strict=True))
    found = MEASURES["fisher"](net, groups, lessons)["0"]
    slopes = []
    for image, label in lessons:
        factor = torch.ones(8, 1, 1, requires_grad=True)
        loss = nn.functional.cross_entropy(net[3:](net[:3](image) * factor), label)
        slopes.append(torch.autograd.grad(loss, factor)[0].flatten())
    torch.testing.assert_close(found, 0.5 * (torch.stack(slopes) ** 2).mean(0))


def test_least_squares_gives_back_what_other_channels_tell():
    """Two channels that are sums of others go: the rest can say all that they said."""
    net, images = net_of(), torch.randn(64, 3, 6, 6)
    with torch.no_grad():
        net[1].running_mean.zero_()
        net[1].bias.fill_(5.0)  # the ReLU behind passes all
        for tensor in (net[0].weight, net[0].bias):
            tensor[1] = tensor[0] + tensor[2]
            tensor[4] = tensor[3] - tensor[5]
    groups, _ = groups_of(net, (images[:1],))
    kept = [(next(g for g in groups if g.name == "0"), [0, 2, 3, 5, 6, 7])]
    narrow = without(net, kept)
    with torch.no_grad():
        aim, cut = net(images), narrow(images)
        rebuild(narrow, net, kept, images)
        rebuilt = narrow(images)
    scale = (aim - aim.mean(0)).std()
    assert (cut - aim).abs().max() > scale
    assert (rebuilt - aim).abs().max() < 0.02 * scale


def chain(units):
    """Two groups of `units`; three layers, of the first, of both, and of the second."""
    rows = tuple((u,) for u in range(units))
    a = Group("a", (Cut("0.weight", 0, rows), Cut("1.weight", 1, rows)))
    b = Group("b", (Cut("1.weight", 0, rows), Cut("2.weight", 1, rows)))
    net = nn.Sequential(nn.Linear(4, units), nn.Linear(units, units), nn.Linear(units, 4))
    return net, [a, b]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.3, 0.95))
def test_widths_keep_the_budget_and_lose_little_more_than_the_best(seed, share):
    net, groups = chain(8)
    drawn = torch.Generator().manual_seed(seed)
    scores = {g.name: torch.rand(8, generator=drawn) for g in groups}
    seconds = (0.1 + 9 * torch.rand(3, generator=drawn)).tolist()
    layers = [Layer((f"{i}.weight",), (0.0, 1.0), (0.0, s)) for i, s in enumerate(seconds)]
    costs = Costs(net, groups, layers)
    budget = share * costs.of({"a": 8, "b": 8})
    kept = allocate(groups, scores, costs, budget, tile=1)
    assert costs.of(kept) <= budget * (1 + 1e-9)

    def lost(widths):
        return sum(float(scores[n].sort().values[: 8 - w].sum()) for n, w in widths.items())

    others = ({"a": a, "b": b} for a, b in itertools.product(range(1, 9), repeat=2))
    best = min(lost(o) for o in others if costs.of(o) <= budget)
    assert lost(kept) <= best + 1.0  # of one step at most: a unit matters less than 1


def test_a_step_that_saves_nothing_is_stepped_over():
    """The curve falls at half of the width only: a stair of the kernel."""
    net, groups = chain(16)
    layers = [
        Layer(("0.weight",), (0.5, 0.51, 1.0), (1.0, 2.0, 2.0)),
        Layer(("2.weight",), (0.0, 1.0), (1.0, 1.0)),
    ]
    scores = {g.name: torch.ones(16) for g in groups}
    kept = allocate(groups, scores, Costs(net, groups, layers), 2.0, tile=4)
    assert kept == {"a": 8, "b": 16}


def test_widths_are_whole_tiles_and_what_is_kept_is_strongest():
    _, (group, _) = chain(30)
    assert steps_of(group, 8) == [30, 24, 16, 8]
    assert steps_of(group, 4)[-1] == 4
    assert strongest(torch.tensor([3.0, 1.0, 4.0, 2.0]), 2) == [0, 2]


def test_a_budget_below_the_narrowest_says_what_there_is():
    net, groups = chain(8)
    costs = Costs(net, groups, [Layer((), (1.0,), (3.0,)), Layer(("0.weight",), (0, 1), (0, 1.0))])
    scores = {g.name: torch.ones(8) for g in groups}
    with pytest.raises(InputError, match=r"is 0.10× .* narrowest widths take 0.78×"):
        allocate(groups, scores, costs, 0.4, tile=1)
