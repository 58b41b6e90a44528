"""Every planted fault is caught by the agreement of the whole, and located in its module."""

from functools import cache

import pytest
import torch
from faulty_nets import Convolutional, Modern, Transformer, net
from planted_faults import FAULTS, planted
from torch import Tensor, nn

from edgevit import exact
from edgevit.converters.locate import Location, Step, bisect, locate
from edgevit.converters.pieces import piece, reference, steps
from edgevit.converters.rewrites import NAMES
from edgevit.converters.rewrites.graph import Graph, argument, module_path
from edgevit.converters.rewrites.rule import rewrite, rule, rules
from edgevit.converters.verify import AGREES, REJECTED, Agreement, OutputAgreement, agreement
from edgevit.program import Program, export, outputs_of
from edgevit.reference import Reference


def ran(module, inputs):
    return [
        tuple(t.numpy() for t in outputs_of(module, [torch.from_numpy(a) for a in row]))
        for row in inputs
    ]


def unchanged(cut: Program, inputs):
    return ran(cut.exported.module(), inputs)


@cache
def known(kind) -> tuple[Program, Reference]:
    module, inputs = net(kind)
    held = exact.compute(module, inputs, preprocess=None, precisions=["fp32"])
    return export(module, inputs, name=kind.__name__), held


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name.replace(" ", "-"))
def test_a_planted_fault_is_caught_and_located(fault):
    program, held = known(fault.net)
    found = ran(planted(program.exported, fault), held.inputs)
    assert agreement(held, found, precision="fp32", names=["output"]).status == REJECTED
    where = locate(program, lambda cut, given: ran(planted(cut.exported, fault), given))
    assert where.module == fault.module
    assert where.error > where.tolerance > 0
    assert where.lowerings <= 1 + len(steps(program.exported)).bit_length()


@pytest.mark.parametrize("kind", [Transformer, Convolutional, Modern])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_without_a_fault_every_piece_agrees(kind, precision):
    program, _ = known(kind)
    where = locate(program, unchanged, precision=precision)
    assert (where.module, where.lowerings) == (None, 1)
    assert "agrees everywhere" in str(where)
    for step in steps(program.exported)[::4]:
        cut = piece(program, step)
        held = reference(cut, preprocess=None, precision=precision)
        names = [port.name for port in cut.facts.outputs]
        agreed = agreement(held, unchanged(cut, held.inputs), precision=precision, names=names)
        assert agreed.status == AGREES, step


@rule(torch.ops.aten.gelu.default)
def gelu_by_tanh(g: Graph, node):
    if module_path(node) != "blocks.0.mlp.1" or argument(node, "approximate") == "tanh":
        return None
    return g(node.target, node.args[0], approximate="tanh")


def rewritten(*before):
    """A program run by torch after these rules and all that there are."""

    def answers(cut: Program, given):
        exported, report = rewrite(cut.exported, [*before, *rules(NAMES)])
        assert report.left_alone is None
        return ran(exported.module(), given)

    return answers


@pytest.mark.parametrize("kind", [Transformer, Convolutional, Modern])
def test_the_rewrites_agree_and_a_wrong_one_among_them_is_found(kind):
    program, _ = known(kind)
    assert locate(program, rewritten()).module is None
    wrong = locate(program, rewritten(gelu_by_tanh))
    assert wrong.module == ("blocks.0.mlp.1" if kind is Transformer else None)


def test_the_sentence_names_the_module_and_what_agrees():
    program, _ = known(Transformer)
    (fault,) = (f for f in FAULTS if f.name == "residual dropped")
    told: list[str] = []
    where = locate(
        program,
        lambda cut, given: ran(planted(cut.exported, fault), given),
        watch=told.append,
    )
    said = f"error {where.error:.1e} of {where.tolerance:.1e} allowed"
    assert str(where) == (
        f"first wrong in blocks.1 (Block: add): {said}; up to blocks.1.scale1 (mul) it agrees"
    )
    assert told[0] == "lower up to head (28 steps)"
    assert len(told) == where.lowerings


def test_a_fault_in_one_of_two_branches_shows_at_every_cut_behind_it():
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.join = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            left = self.left(x)
            right = self.right(self.right(x).relu()).relu()
            return self.join(left * right), x

    torch.manual_seed(0)
    program = export(Branches(), (torch.linspace(-1, 1, 16).reshape(2, 8),), name="branches")
    fault = FAULTS[[f.name for f in FAULTS].index("bias dropped")]
    left = type(fault)("", Branches, "left", fault.op, fault.change)
    where = locate(program, lambda cut, given: ran(planted(cut.exported, left), given))
    assert (where.module, where.after) == ("left", None)
    assert str(where).endswith("it is the first to compute anything")


class InPlace(nn.Module):
    """What exported graphs hold besides: writing in place, splits, types, constants, masks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Conv2d(2, 8, 1), nn.ReLU(True), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.first(x))
        y += torch.arange(5, dtype=torch.float32) / 7
        y[:, :, 0] = 1
        a, b = y.to(torch.float32).chunk(2, 1)
        b = self.last(b).masked_fill(a > 0.1, 2.0)
        return b * self.last(a).sigmoid_()


def test_graphs_that_write_in_place_are_cut_as_well():
    torch.manual_seed(0)
    program = export(InPlace().eval(), (torch.linspace(-1, 1, 50).reshape(1, 2, 5, 5),), name="n")
    found = steps(program.exported)
    assert [s.path for s in found][:4] == ["first", "act", "", "last"]
    for step in found:
        cut = piece(program, step)
        assert cut is not None
        held = reference(cut, preprocess=None, precision="fp32")
        names = [port.name for port in cut.facts.outputs]
        agreed = agreement(held, unchanged(cut, held.inputs), precision="fp32", names=names)
        assert agreed.status == AGREES, step
        assert all(error < 1e-5 for error in held.eager_error["fp32"])


def verdict(status: str) -> Agreement:
    output = OutputAgreement("y", 2.0, 1.0, 0.1, 3.0, 0.9, None)
    return Agreement(status, 16, (output,))


def chain(*paths: str) -> list[Step]:
    """Steps of parts "a.0", "a.1" ... of blocks "a", "b" ... of a net."""
    stacks = ((("", "Net"), (path[0], "Block"), (path, "Part")) for path in paths)
    return [Step(stack, ("op",), i) for i, stack in enumerate(stacks)]


@pytest.mark.parametrize("wrong", range(12))
@pytest.mark.parametrize("closed", [(), (3,), (4, 5, 6), (10,), (0, 1, 2)])
def test_cuts_that_cannot_be_made_widen_the_answer(wrong, closed):
    line = chain(*(f"{c}.{i}" for c in "abc" for i in range(4)))

    def judge(step: Step) -> Agreement | None:
        if step.end in closed:
            return None
        return verdict(REJECTED if step.end >= wrong else AGREES)

    where = bisect(line, judge)
    first = wrong
    while first - 1 in closed:
        first -= 1
    last = wrong
    while last in closed:
        last += 1
    assert where.after == (line[first - 1].path if first else None)
    inside = [step.path for step in line[first : last + 1]]
    if len(inside) == 1:
        assert (where.module, where.kind) == (inside[0], "Part")
    elif len({path[0] for path in inside}) == 1:
        assert (where.module, where.kind) == (inside[0][0], "Block")
    else:
        assert (where.module, where.kind) == ("", "Net")
    assert (where.error, where.tolerance, where.ops) == (2.0, 1.0, ("op",))


def test_what_holds_no_number_is_said():
    broken = Location("a", "Part", tuple("abcdef"), "", ("op",), 0.0, 1.0, "holds NaN", 3)
    assert str(broken) == (
        "first wrong in a (Part: ..., d, e, f): holds NaN; "
        "up to the model's own code (op) it agrees"
    )
