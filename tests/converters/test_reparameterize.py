"""What training adds folds, whoever published it, and the proof holds; what cannot is named."""

from collections import Counter

import pytest
import timm
import torch
from overparameterized import FAMILIES, MAP, C, conv, normed, redrawn
from timm.utils.model import reparameterize_model
from torch import nn

from edgevit.converters import reparameterize as module
from edgevit.converters.reparameterize import reparameterize
from edgevit.converters.rewrites.cases import Net
from edgevit.converters.rewrites.graph import module_path
from edgevit.converters.structure import name_of
from edgevit.errors import Disagreement, InputError
from edgevit.program import export, outputs_of

SPARED = ("relu", "gelu", "add")  # activations, and the residuals around them


def operators(program) -> list[str]:
    return [name_of(node) for node in program.graph.nodes if node.op == "call_function"]


class Together(nn.Module):
    """All families in one net: an export costs more than what is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(redrawn(make()) for make, *_ in FAMILIES.values())

    def forward(self, *xs):
        return [net(x) for net, x in zip(self.nets, xs, strict=True)]


def test_every_family_folds():
    torch.manual_seed(0)
    inputs = [torch.randn(shape) for _, shape, _ in FAMILIES.values()]
    folded = reparameterize(Together().eval(), inputs)
    left = {name: [] for name in FAMILIES}
    for node in folded.program.graph.nodes:
        if node.op == "call_function" and name_of(node) not in SPARED:
            family = int(module_path(node).split(".")[1])
            left[[*FAMILIES][family]].append(name_of(node))
    assert left == {name: products for name, (_, _, products) in FAMILIES.items()}
    report = folded.report
    assert report.error_float64 < 1e-13
    assert report.error_float32 < 1e-5
    assert (report.after.branches, report.after.batch_norms, report.left) == (0, 0, ())
    assert report.after.parameters < report.before.parameters
    assert report.after.macs < report.before.macs


def test_the_report_in_one_line():
    make, shape, _ = FAMILIES["MobileOne"]
    said = str(reparameterize(redrawn(make()).eval(), [torch.randn(shape)]))
    assert said.startswith("rep: 5 branches → 1 convolution, 5 batch norms → 0, max error ")
    assert said.endswith(" in float32")
    make, shape, _ = FAMILIES["linear, linear"]
    assert "rep: 2 layers → 1, max" in str(reparameterize(make().eval(), [torch.randn(shape)]))


def test_one_norm_in_two_places_folds_into_each():
    """Its statistics are shared, the kernels around it are not."""
    norm = nn.BatchNorm2d(C)
    net = nn.Sequential(conv(3), norm, nn.ReLU(), conv(1), norm)
    report = reparameterize(redrawn(net).eval(), [torch.randn(MAP)]).report
    assert (report.before.batch_norms, report.after.batch_norms) == (2, 0)
    assert report.error_float64 < 1e-13


@pytest.mark.parametrize(
    ("net", "left"),
    [
        (nn.Sequential(nn.BatchNorm2d(C), conv(3)), {"0": "the zeros of the padding"}),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(C), nn.ReLU()), {"1": "between relu and relu"}),
        (nn.Sequential(conv(1), nn.BatchNorm2d(C, track_running_stats=False)), {"1": "the batch"}),
        (
            Net(lambda m, x: (y := m.a(x)).relu() + m.b(y), a=conv(3), b=nn.BatchNorm2d(C)),
            {"b": "something else reads the conv2d before it"},
        ),
        (
            nn.Sequential(Net(lambda m, x: m.a(x) + m.b(x), a=conv((1, 3)), b=conv((3, 1)))),
            {"0": "2 branches: no branch has a kernel that holds"},
        ),
    ],
    ids=["padding", "activations", "statistics of the batch", "read twice", "branches"],
)
def test_what_is_left_is_named_with_its_reason(net, left):
    found = dict(reparameterize(redrawn(net).eval(), [torch.randn(MAP)]).report.left)
    assert found.keys() == left.keys()
    assert all(why in found[path] for path, why in left.items())


def test_training_mode_is_refused_by_name():
    net = nn.Sequential(conv(3), nn.BatchNorm2d(C))
    with pytest.raises(InputError, match=r"^net is in training mode.*batch.*eval"):
        reparameterize(net, [torch.randn(MAP)], name="net")
    net.eval()[1].train()
    with pytest.raises(InputError, match=r"^1 is in training mode"):
        reparameterize(net, [torch.randn(MAP)])


def test_almost_no_variance_folds_while_float32_holds_it():
    net = redrawn(normed(3))
    net[1].running_var.fill_(0)
    assert reparameterize(net.eval(), [torch.randn(MAP)]).report.after.batch_norms == 0
    net[1].running_var.fill_(1e-40)
    net[1].eps = 0.0
    net[1].weight.data.fill_(1e25)
    report = reparameterize(net.eval(), [torch.randn(MAP)]).report
    assert report.after.batch_norms == 1
    assert report.left == (("1", "batch norm: the folded weights would be beyond float32"),)


def test_a_fold_that_computes_something_else_is_no_fold(monkeypatch):
    rewrite = module.rewrite

    def wrong(exported, rules):
        program, report = rewrite(exported, rules)
        next(iter(program.state_dict.values())).data.mul_(1 + 1e-8)
        return program, report

    monkeypatch.setattr(module, "rewrite", wrong)
    with pytest.raises(Disagreement, match="net, folded, is 1e-08 of its largest output off"):
        reparameterize(normed(3).eval(), [torch.randn(MAP)], name="net")


def test_what_is_not_linear_makes_no_branch():
    """Squares, gates, quotients and residuals around an activation are counted as none."""
    net = Net(lambda m, x: [x * x + x, m.a(x) * x.relu() + x, 1 / x + m.a(x), x + m.a(x.relu())],
              a=conv(1))  # fmt: skip
    report = reparameterize(net.eval(), [torch.randn(MAP).abs() + 1]).report
    assert (report.before.branches, report.before.sums, report.left) == (0, 0, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mobileone_s1", "repvgg_a0", "repvit_m0_9", "fastvit_t8", "repghostnet_050"]
)
def test_no_less_folds_than_by_timms_own_method(name):
    torch.manual_seed(0)
    net, x = perturbed(timm.create_model(name)).eval(), torch.randn(1, 3, 64, 64)
    folded = reparameterize(net, [x])
    torch.set_default_dtype(torch.float64)  # timm makes new layers in the default type
    try:
        theirs = reparameterize_model(net.double())
    finally:
        torch.set_default_dtype(torch.float32)
    x = x.double()
    ours, timms = (
        Counter(operators(p)) for p in (folded.program, export(theirs, [x], name=name).exported)
    )
    for op in ("conv2d", "linear", "batch_norm"):
        assert ours[op] <= timms[op]
    assert ours["batch_norm"] == folded.report.after.batch_norms == 0
    (a,), (b,) = outputs_of(theirs, [x]), outputs_of(folded.program.module(), [x])
    assert float((a - b).abs().max()) <= 1e-10 * float(a.abs().max())


def perturbed(net: nn.Module) -> nn.Module:
    """Norms whose statistics are not the neutral ones; deep nets keep their other weights."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            redrawn(part)
            part.weight.data.abs_()
    return net
