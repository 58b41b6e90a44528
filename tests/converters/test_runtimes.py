"""Each real runtime computes the model: precisions, order of inputs, damage, determinism.

Everything here converts and runs for real, so all of it is slow.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import known_nets
import numpy as np
import pytest
import torch

from edgevit import digest
from edgevit.converters.artifact import Artifact
from edgevit.converters.card import card_of
from edgevit.converters.target import TARGETS, find
from edgevit.converters.verify import AGREES
from edgevit.errors import ArtifactError, EdgevitError
from edgevit.pipeline.convert import convert
from edgevit.program import outputs_of
from edgevit.recipe import Recipe

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


def needing(target: str):
    return pytest.param(target, marks=pytest.mark.needs(*find(target).needs))


REAL = [needing(t) for t in TARGETS if t != "null"]
ONE_FILE = [needing(t) for t in TARGETS if t not in ("null", "coreml")]  # see mil/ for packages


def converted(target: str, out: Path, *, of: str = "roles", precisions=("fp32", "fp16")):
    """The artifacts of a known net, by precision; whatever went wrong is raised."""
    outcomes = convert(
        Recipe(of),
        to=[target],
        out=out,
        precisions=precisions,
        model=getattr(known_nets, of)(),
        jobs=1,
    )
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    return {o.job.recipe.precision: o.artifact for o in outcomes}


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    """The artifacts of `Roles`, converted once for all tests."""
    made: dict[str, dict[str, Artifact]] = {}

    def of(target: str) -> dict[str, Artifact]:
        if target not in made:
            made[target] = converted(target, tmp_path_factory.mktemp(target) / "out ü")
        return made[target]

    return of


@pytest.mark.parametrize("target", REAL)
def test_both_precisions_agree(roles, target):
    for precision, artifact in roles(target).items():
        card = artifact.card
        assert card.agreement.status == AGREES
        assert [o.name for o in card.agreement.outputs] == ["output_0", "output_1"]
        assert [p["name"] for p in card.model["inputs"]] == ["a", "b", "c"]
        assert card.executes == find(target).executes[precision]
        assert Artifact.read(artifact.path) == artifact
        assert "not installed" not in card.tools.values()
    sizes = {p: a.card.artifact["bytes"] for p, a in roles(target).items()}
    assert sizes["fp16"] != sizes["fp32"]


@pytest.mark.parametrize("target", REAL)
def test_nothing_names_the_folders_of_the_machine(roles, target):
    for artifact in roles(target).values():
        files = [f for f in [artifact.path, *artifact.path.rglob("*")] if f.is_file()]
        assert files
        for file in files:
            assert str(HERE).encode() not in file.read_bytes()
            assert b"site-packages" not in file.read_bytes()


@pytest.mark.parametrize("target", REAL)
def test_inputs_and_outputs_keep_their_order(roles, target):
    module, _ = known_nets.roles()
    rng = np.random.default_rng(1)
    rows = [[rng.standard_normal((1, 8, 12, 12), np.float32) for _ in "abc"] for _ in range(2)]
    truth = [[t.numpy() for t in outputs_of(module, map(torch.from_numpy, row))] for row in rows]
    for precision, artifact in roles(target).items():
        atol = 1e-5 if precision == "fp32" else 3e-2
        with artifact.open(timeout_s=120) as session:
            assert [t.shape for t in session.inputs] == [(1, 8, 12, 12)] * 3
            first = session(*rows[0])
            kept = [a.copy() for a in first]
            # The same values with channels last in memory.
            strided = [np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in rows[1]]
            assert not strided[0].flags.c_contiguous
            second = session(*strided)
        for found, expected in zip((first, second), truth, strict=True):
            assert [a.shape for a in found] == [(1, 5), (1, 8, 6, 4)]
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=atol)
        # After a later call and the end of the runtime, an answer is what it was.
        assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


@pytest.mark.parametrize("target", REAL)
def test_a_dozen_inputs_and_outputs_keep_their_order(tmp_path, target):
    artifact = converted(target, tmp_path, of="many", precisions=["fp32"])["fp32"]
    inputs = [np.full((2, 3), 10 + i, np.float32) for i in range(12)]
    with artifact.open(timeout_s=120) as session:
        found = session(*inputs)
    assert [float(a.max()) for a in found] == [(10 + i) * (i + 1) for i in range(12)]


@pytest.mark.parametrize("target", REAL)
def test_another_process_writes_the_same_bytes(roles, tmp_path, target):
    script = (
        "import sys; from pathlib import Path; from test_runtimes import converted;"
        "converted(sys.argv[1], Path(sys.argv[2]))"
    )
    environment = os.environ | {
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)]),
    }
    command = [sys.executable, "-c", script, target, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    for artifact in roles(target).values():
        assert digest.of(tmp_path / artifact.path.name) == artifact.card.artifact["sha256"]


@pytest.mark.needs("executorch", "torchao", "litert_torch", "ai_edge_litert", "onnx", "onnxscript")
def test_placement_names_what_no_delegate_takes(roles):
    """XNNPACK has no cumulative sum, in neither runtime."""
    for target, name in (("executorch", "cumsum"), ("tflite", "CUMSUM")):
        placement = roles(target)["fp32"].card.placement
        assert placement.delegate == "XNNPACK"
        assert placement.partitions >= 1
        assert placement.outside[name] == 1
    assert roles("onnx")["fp32"].card.placement is None


def damaged(artifact: Artifact, folder: Path, name: str, data: bytes) -> Artifact:
    """A copy with other bytes and a card that fits them, so that the runtime really gets them."""
    path = folder / (name + artifact.path.suffix)
    path.write_bytes(data)
    facts = {"file": path.name, "sha256": digest.of(path), "bytes": len(data)}
    replace(artifact.card, artifact=facts).write(card_of(path))
    return Artifact.read(path)


@pytest.mark.parametrize("target", ONE_FILE)
def test_damage_is_an_error_of_ours_and_never_our_death(roles, tmp_path, target):
    artifact = roles(target)["fp32"]
    whole = artifact.path.read_bytes()
    inputs = [np.ones((1, 8, 12, 12), np.float32)] * 3
    rng = np.random.default_rng(0)

    def outcome(name: str, data: bytes) -> str | tuple[np.ndarray, ...]:
        broken = damaged(artifact, tmp_path, name, data)
        try:
            with broken.open(timeout_s=20) as session:
                return session(*inputs)
        except EdgevitError as e:
            return str(e)

    assert isinstance(outcome("whole", whole), tuple)
    for end in (len(whole) // 2, 16):
        said = outcome(f"cut at {end}", whole[:end])
        assert isinstance(said, str)
        assert "\n" not in said
    with pytest.raises(ArtifactError, match="is empty"):
        damaged(artifact, tmp_path, "empty", b"")
    failures = 0
    for i in range(6):
        data = bytearray(whole)
        # Anywhere, and in the first bytes, where the structure is.
        for at in (*rng.integers(0, len(data), 20), *rng.integers(0, 200, 3)):
            data[at] ^= 1 << int(rng.integers(0, 8))
        said = outcome(f"flipped {i}", bytes(data))
        failures += isinstance(said, str)
        assert not isinstance(said, str) or ("\n" not in said and len(said) < 2000)
    assert failures


@pytest.mark.needs("executorch", "torchao")
def test_executorch_normalises_many_channels_in_half(tmp_path):
    artifact = converted("executorch", tmp_path, of="normed", precisions=["fp16"])["fp16"]
    (output,) = artifact.card.agreement.outputs
    assert output.ok
    assert output.max_abs_error < 0.02
