"""What training adds to a model, folded into its weights, with a proof: it computes the same.

    folded = reparameterize(net, [image])
    print(folded)            rep: 43 branches → 21 convolutions, max error 3e-14 in float64, ...
    folded.program           the torch.export.ExportedProgram, in float64

The module is exported in float64, and the rules of `rewrites` that fold are applied: batch norms,
parallel branches, sequences without activation, scales. They look at the graph, so that any module
folds, and each use of a shared one by itself. Then original and folded program meet ten inputs:
random, large (·10⁴), tiny (·10⁻⁴), constant, and a single one; errors are relative to the
largest of each output. `convert` applies the same rules to its float32 programs by itself.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgevit.errors import Disagreement, InputError
from edgevit.prepare import built
from edgevit.program import export, outputs_of
from edgevit.recipe import Recipe

from .folding import Folding
from .own_method import own_method
from .rewrites import FOLDING
from .rewrites.choice import Costs
from .rewrites.graph import module_path
from .rewrites.rule import Report, rewrite, rules
from .structure import affine_of, batch_norms, branches, name_of, structure
from .target import find

RULES = (
    "views",
    "identities",
    *FOLDING,
    "padding",
    "permute_past_binary",
    "slice_before_what_it_keeps",  # what follows the class token alone
)
TOLERANCE = 1e-10  # of float64, relative: folding is an identity of real arithmetic


@dataclass(frozen=True)
class Folded:
    """The program in float64, and what folding did to it."""

    program: ExportedProgram
    report: Folding

    def __str__(self) -> str:
        return str(self.report)


def reparameterize(module: nn.Module, inputs: Sequence[Tensor], *, name: str = "model") -> Folded:
    """Fold a copy of `module`, in evaluation mode, for inputs of these shapes.

    InputError for a module in training mode and for one whose graph cannot be rewritten,
    ExportError where torch.export refuses it, Disagreement where the error in float64 is above
    1e-10.
    """
    training = [path for path, part in module.named_modules() if part.training]
    if training:
        raise InputError(
            f"{training[0] or name} is in training mode, in which a batch norm takes its "
            "statistics from the batch: call .eval() first"
        )
    original = copy.deepcopy(module).cpu().double().requires_grad_(False)
    inputs = [t.detach().cpu() for t in inputs]
    doubled = _cast(inputs, torch.float64)
    exported = export(original, doubled, name=name).exported
    program, done = rewrite(exported, rules(RULES))
    if done.left_alone:
        raise InputError(f"{name} cannot be folded: {done.left_alone}")
    error, rounded = _errors(original, program, inputs)
    if not error <= TOLERANCE:
        raise Disagreement(
            f"{name}, folded, is {error:.0e} of its largest output off in float64: this is a "
            "defect of edgevit, or the model itself loses that many digits"
        )
    norms = {*batch_norms(exported.run_decompositions({}))}
    before, after = structure(exported, doubled), structure(program, doubled, norms)
    left = _left(program.run_decompositions({}), done, norms)
    return Folded(program, Folding(before, after, error, rounded, left))


def _cast(inputs: Sequence[Tensor], kind: torch.dtype) -> list[Tensor]:
    return [t.to(kind) if t.is_floating_point() else t for t in inputs]


def _errors(
    original: nn.Module, program: ExportedProgram, inputs: Sequence[Tensor]
) -> tuple[float, float]:
    """Of the folded program in float64 and in float32, over all inputs and outputs."""
    exact = program.module(check_guards=False)
    single = copy.deepcopy(exact).float()
    errors = [0.0, 0.0]
    for row in _inputs_like(inputs):
        truth = outputs_of(original, _cast(row, torch.float64))
        for i, (kind, folded) in enumerate(((torch.float64, exact), (torch.float32, single))):
            found = outputs_of(folded, _cast(row, kind))
            errors[i] = max([errors[i], *map(_error, truth, found)])
    return errors[0], errors[1]


def _error(truth: Tensor, found: Tensor) -> float:
    """Relative to the largest of `truth`; infinite where one is a number and the other is not."""
    truth, found = truth.double(), found.double()
    numbers = truth.isfinite()
    if not torch.equal(numbers, found.isfinite()):
        return torch.inf
    off = float((truth - found)[numbers].abs().amax()) if numbers.any() else 0.0
    return off / (float(truth[numbers].abs().amax()) or 1.0) if off else 0.0


def _inputs_like(examples: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The examples themselves, and nine more rows like them; what counts is left as it is."""
    generator = torch.Generator().manual_seed(0)

    def single(t: Tensor) -> Tensor:
        return (torch.arange(t.numel()) == t.numel() // 2).reshape(t.shape).float()

    yield [*examples]
    for scale in (1, 1, 1, 1, 1e4, 1e-4):
        yield [
            scale * torch.randn(t.shape, generator=generator) if t.is_floating_point() else t
            for t in examples
        ]
    for made in (torch.ones_like, torch.zeros_like, single):
        yield [made(t) if t.is_floating_point() else t for t in examples]


def _left(plain: ExportedProgram, done: Report, norms: set[str]) -> tuple[tuple[str, str], ...]:
    """What of the folded program is not folded, and why."""
    folding = {rule.name for rule in rules(FOLDING)}
    refused = {path: why for name, path, why in done.refused if name in folding}
    found = []
    for path, nodes in affine_of(plain, norms).items():
        x, users = nodes[0].all_input_nodes[0], [*nodes[-1].users]
        why = [refused.pop(module_path(user)) for user in users if module_path(user) in refused]
        if len(x.users) > 1 and ("conv" in name_of(x) or name_of(x) == "linear"):
            why.append(f"something else reads the {name_of(x)} before it")
        readers = " and ".join(dict.fromkeys(name_of(user) for user in users))
        why.append(f"it stands between {name_of(x)} and {readers}")
        found.append((path, f"batch norm: {why[0]}"))
    for node, group in branches(plain):
        why = [refused.pop(module_path(node), "something else reads them")]
        found.append((module_path(node), f"{len(group)} branches: {why[0]}"))
    for path in batch_norms(plain):
        reason = refused.pop(path, "it takes its statistics from the batch")
        found.append((path, f"batch norm: {reason}"))
    return (*found, *refused.items())


def of_recipe(*, recipe: dict[str, Any]) -> dict[str, Any]:
    """The Folding of a recipe's model, with what its own method makes, for another process."""
    chosen = Recipe.from_dict(recipe)
    model = built(chosen)
    found = asdict(reparameterize(model.module, model.inputs, name=chosen.title).report)
    return found | {"own": own_method(model.module, model.inputs, name=chosen.title)}


def others(*, target: str, costs: str | None) -> list[str]:
    """The rules that `target` is lowered with by default, but for those that fold."""
    folding = {rule.name for rule in rules(FOLDING)}
    chosen = Costs.of(target, costs).chosen(rules(find(target).rewrites))
    return [rule.name for rule in chosen if rule.name not in folding]
