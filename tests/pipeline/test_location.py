"""`verify(locate=True)`: the module that a converter gets wrong, found by lowering it in pieces."""

import inspect
import json
import sys
from dataclasses import asdict
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import edgevit
from edgevit.cli.verify import command
from edgevit.converters.null import Null
from edgevit.converters.onnx import Onnx
from edgevit.converters.target import TARGETS
from edgevit.errors import ArtifactError, ChildDied, Disagreement
from edgevit.pipeline.convert import convert
from edgevit.pipeline.verify import verify
from edgevit.program import Program
from edgevit.recipe import Recipe

aten = torch.ops.aten


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.act = nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU()
        self.down = nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.act(self.up(self.norm(x))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.Sequential(Block(), Block(), Block()), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.blocks(x)), x.sum(1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net(), (torch.linspace(-1, 1, 40).reshape(1, 5, 8),)


FAULTS = {
    "blocks.1.act": (aten.gelu.default, lambda node: node.update_kwarg("approximate", "tanh")),
    "blocks.2.norm": (aten.layer_norm.default, lambda node: node.update_arg(4, 1e-3)),
    "blocks.0": (aten.add.Tensor, lambda node: node.update_arg(0, node.args[1])),
}


def planted(program: Program, path: str) -> Program:
    op, change = FAULTS[path]
    module = program.exported.module()
    for node in module.graph.find_nodes(op="call_function", target=op):
        if [*node.meta["nn_module_stack"].values()][-1][0] == path:
            change(node)
    module.recompile()
    return Program(torch.export.export(module, program.inputs), program.facts)


@pytest.fixture
def faulty(fakes, monkeypatch):
    """Make a target that gets one module wrong, under the name "faulty"."""

    def make(base, path, refuses=lambda program: False):
        class Faulty(base):
            suffix = ".faulty"

            def lower(self, program, file, *, precision, ios):
                if refuses(program):
                    raise ChildDied("the process died of SIGSEGV in lower")
                program = planted(program, path) if path else program
                super().lower(program, file, precision=precision, ios=ios)

        module = ModuleType("fake_faulty")
        module.target = Faulty
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(TARGETS, "faulty", module.__name__)

    return make


def located(model, out, **settings):
    """The verdict on a file that was converted unverified."""
    (made,) = convert(
        Recipe("net"), to=["faulty"], out=out, model=model, jobs=1, verify=False, **settings
    )
    assert made.artifact is not None, made.error
    told: list[str] = []
    (found,) = verify(
        [made.artifact.path], model=model, locate=True, watch=lambda path, stage: told.append(stage)
    )
    return found, told


@pytest.mark.parametrize("path", FAULTS)
def test_the_module_that_a_converter_gets_wrong_is_named(faulty, model, path, tmp_path):
    faulty(Null, path)
    found, told = located(model, tmp_path)
    assert isinstance(found.error, Disagreement)
    assert found.location.module == path
    assert str(found.error).endswith(f"; {found.location}")
    assert sum(stage.startswith("lower up to ") for stage in told) == found.location.lowerings
    assert told[-1] == "done"
    assert [f.name for f in tmp_path.iterdir()].count("net.faulty") == 1


@pytest.mark.needs("onnx", "onnxscript", "onnxruntime")
@pytest.mark.filterwarnings("ignore")  # the converter's, which runs here and not in a child
@pytest.mark.parametrize(("path", "precision"), [("blocks.1.act", "fp32"), ("blocks.0", "fp16")])
def test_in_a_real_runtime_too(faulty, model, path, precision, tmp_path):
    faulty(Onnx, path)
    found, _ = located(model, tmp_path, precisions=[precision])
    assert found.location.module == path


def test_pieces_that_the_converter_refuses_tell_nothing(faulty, model, tmp_path):
    def refuses(program: Program) -> bool:
        """Everything that ends in a GELU, as cuts right behind one do."""
        ends = program.exported.graph.output_node().args[0]
        return any(node.target is aten.gelu.default for node in ends)

    faulty(Null, "blocks.1.act", refuses)
    found, _ = located(model, tmp_path)
    assert (found.location.module, found.location.kind) == ("blocks.1", "Block")
    assert found.location.ops == ("gelu", "linear")


def test_it_is_not_looked_for_unless_asked_or_where_all_agrees(faulty, model, tmp_path):
    faulty(Null, "blocks.0")
    (made,) = convert(Recipe("net"), to=["faulty"], out=tmp_path, model=model, jobs=1, verify=False)
    (found,) = verify([made.artifact.path], model=model)
    assert isinstance(found.error, Disagreement)
    assert found.location is None
    faulty(Null, None)
    found, _ = located(model, tmp_path)
    assert (found.error, found.location) == (None, None)


def test_a_file_that_is_right_when_it_is_made_again(faulty, model, tmp_path):
    faulty(Null, "blocks.0")
    (made,) = convert(Recipe("net"), to=["faulty"], out=tmp_path, model=model, jobs=1, verify=False)
    faulty(Null, None)
    (found,) = verify([made.artifact.path], model=model, locate=True)
    assert isinstance(found.error, Disagreement)
    assert (found.location.module, found.location.lowerings) == (None, 1)
    assert "lowered again here it agrees everywhere" in str(found.error)
    assert asdict(found.location)["error"] == 0


def test_a_converter_that_fails_now_leaves_the_disagreement(faulty, model, tmp_path):
    faulty(Null, "blocks.0")
    (made,) = convert(Recipe("net"), to=["faulty"], out=tmp_path, model=model, jobs=1, verify=False)
    faulty(Null, "blocks.0", refuses=lambda program: True)
    (found,) = verify([made.artifact.path], model=model, locate=True)
    assert isinstance(found.error, Disagreement)
    assert found.location is None
    assert "cannot be told: the process died of SIGSEGV" in str(found.error)


def test_a_file_that_convert_kept_aside(faulty, tmp_path):
    """As a user types it, of a model in a file of the user's; the children are fakes."""
    faulty(Null, "blocks.1.act")
    file, out = tmp_path / "net.py", tmp_path / "out"
    made = "torch.manual_seed(0)\n    return Net(), (torch.linspace(-1, 1, 40).reshape(1, 5, 8),)"
    parts = ("import torch\nfrom torch import Tensor, nn", *map(inspect.getsource, (Block, Net)))
    file.write_text("\n".join((*parts, f"def net(num_classes=3):\n    {made}\n")))
    (outcome,) = convert(Recipe(f"{file}:net"), to=["faulty"], out=out, jobs=1)
    aside = out / "net.faulty.rejected"
    assert str(outcome.error).endswith(f"the file is kept as {aside}")

    done = CliRunner().invoke(command, [str(aside), "--locate", "--json", "-q"])
    assert done.exit_code == 3
    (found,) = json.loads(done.stdout)
    assert found["location"]["module"] == "blocks.1.act"
    plain = CliRunner().invoke(command, [*map(str, out.iterdir()), "-q"])
    assert (plain.exit_code, plain.stderr.count("error: ")) == (3, 1)
    located = edgevit.locate(aside)
    assert located.module == "blocks.1.act"


def test_no_module_is_located_where_the_file_agrees_or_cannot_be_judged(faulty, model, tmp_path):
    faulty(Null, None)
    (made,) = convert(Recipe("net"), to=["faulty"], out=tmp_path, model=model, jobs=1)
    assert edgevit.locate(made.artifact.path, model=model) is None
    with pytest.raises(ArtifactError, match="a module given from Python"):
        edgevit.locate(made.artifact.path)
