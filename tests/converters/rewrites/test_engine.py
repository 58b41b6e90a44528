"""The engine leaves alone what it must, and says so."""

from pathlib import Path

import pytest
import torch
from check_rule import check, export, outputs
from torch import nn

from edgevit.converters.rewrites import FILES, NAMES
from edgevit.converters.rewrites.graph import aten, module_path
from edgevit.converters.rewrites.rule import Refused, rewrite, rule, rules
from edgevit.errors import UnknownName


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.norm(x)).relu_()


def test_shared_weights_in_place_operators_and_several_outputs():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def forward(self, x, y):
            a = self.block(x)
            a.add_(self.block(y))
            return a, {"second": y * 2}

    check(Twice(), torch.randn(1, 3, 8), torch.randn(1, 3, 8), applies="layer_norm_by_products")


def test_new_nodes_keep_the_path_of_the_users_module():
    net = nn.Sequential(Block(), Block())
    done, _ = rewrite(export(net, torch.randn(1, 3, 8)), rules(NAMES))
    paths = {module_path(n) for n in done.graph.nodes if n.target is aten.rsqrt.default}
    assert paths == {"0.norm", "1.norm"}


def test_a_model_that_writes_to_its_buffers_is_left_alone():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += 1
            return self.block(x) + self.seen

    before = export(Counting(), torch.randn(1, 3, 8))
    after, report = rewrite(before, rules(NAMES))
    assert after is before
    assert "buffers" in report.left_alone


def test_control_flow_that_depends_on_data_is_unharmed():
    class Branching(nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: x.relu(), lambda x: x - 1, (x.flatten(1),))

    before = export(Branching(), torch.randn(1, 3, 8))
    after, _ = rewrite(before, rules(NAMES))
    for x in (torch.ones(1, 3, 8), -torch.ones(1, 3, 8)):
        assert torch.equal(outputs(after, x)[0], outputs(before, x)[0])


def test_a_dynamic_batch_is_unharmed():
    batch = torch.export.Dim("batch", min=2, max=16)
    net = nn.Sequential(Block()).eval()
    before = torch.export.export(net, (torch.randn(4, 3, 8),), dynamic_shapes=({0: batch},))
    after, _ = rewrite(before, rules(NAMES))
    x = torch.randn(7, 3, 8)
    assert torch.allclose(outputs(after, x)[0], outputs(before, x)[0], atol=1e-6)


def test_a_refusal_names_the_module_and_the_reason():
    @rule(aten.layer_norm.default)
    def never(g, node):
        """Refuses."""
        raise Refused("because")

    before = export(nn.Sequential(Block()), torch.randn(1, 3, 8))
    after, report = rewrite(before, [never])
    assert after is before
    assert report.refused == (("never", "0.norm", "because"),)


def test_rules_that_undo_each_other_leave_the_program_alone():
    @rule(aten.layer_norm.default)
    def again(g, node):
        """Replaces a node by its like."""
        return g(node.target, *node.args)

    before = export(nn.Sequential(Block()), torch.randn(1, 3, 8))
    after, report = rewrite(before, [again])
    assert after is before
    assert "do not come to rest" in report.left_alone


def test_every_rule_says_what_it_does_and_names_are_known():
    found = rules(FILES)
    assert len({r.name for r in found}) == len(found) > 40
    assert all(r.summary.endswith(".") for r in found)
    with pytest.raises(UnknownName, match="layer_norm"):
        rules(["layer_nrom"])


@pytest.mark.parametrize("name", FILES)
def test_every_rule_is_named_by_a_test_of_its_file(name):
    tests = Path(__file__).with_name(f"test_{name}.py").read_text(encoding="utf-8")
    assert [r.name for r in rules([name]) if f'"{r.name}"' not in tests] == []


def test_weights_that_were_folded_into_others_are_gone():
    layers = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3)
    net = nn.Sequential(*layers, nn.BatchNorm2d(5))
    done, _ = rewrite(export(net, torch.randn(1, 3, 4, 4)), rules(NAMES))
    assert sorted(t.numel() for t in done.state_dict.values()) == [4, 5, 12, 180]
