"""Checkpoints as their authors write them, and files that are none."""

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from edgevit import checkpoint, sandbox
from edgevit.errors import WeightsError
from edgevit.models.efficientmod import EfficientMod, Shape
from edgevit.weights import digest, load_into

SMALL = Shape((8, 16, 16, 16), (1, 1, 1, 1), (0, 0, 0, 1))


def efficientmod(seed: int, classes: int = 10) -> EfficientMod:
    torch.manual_seed(seed)
    return EfficientMod(SMALL, classes=classes)


@pytest.fixture
def trained() -> dict[str, torch.Tensor]:
    return efficientmod(1).state_dict()


def in_process(function: str, **arguments):
    """The child's work without a child, which takes seconds to start."""
    assert function == "edgevit.checkpoint:unpickle"
    checkpoint.unpickle(**{k: str(v) for k, v in arguments.items()})


@pytest.fixture
def no_child(monkeypatch):
    monkeypatch.setattr(sandbox, "run", in_process)


def refusal(file: Path, module: nn.Module | None = None) -> str:
    module = module or efficientmod(2)
    before = digest(module)
    with pytest.raises(WeightsError) as e:
        load_into(module, file)
    assert digest(module) == before
    assert "\n" not in str(e.value)
    return str(e.value)


def test_a_checkpoint_comes_through_the_child(tmp_path: Path, trained):
    file = tmp_path / "vérité 1.pth"
    options = argparse.Namespace(lr=0.1)
    torch.save({"state_dict": trained, "epoch": 3, "args": options, "optimizer": {}}, file)
    module = efficientmod(2)
    load_into(module, file)
    assert digest(module) == digest(efficientmod(1))


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, trained):
    file, made = tmp_path / "evil.pth", tmp_path / "made"
    torch.save({"state_dict": trained, "extra": Evil(made)}, file)
    message = refusal(file)
    assert "pickled objects" in message
    assert "safetensors" in message
    assert not made.exists()


def test_the_evil_file_would_have_run_code(tmp_path: Path):
    made = tmp_path / "made"
    pickle.loads(pickle.dumps(Evil(made)))
    assert made.exists()


@pytest.mark.usefixtures("no_child")
def test_other_pickled_objects_are_refused(tmp_path: Path):
    file, made = tmp_path / "a.pt", tmp_path / "made"
    torch.save(efficientmod(1), file)
    assert "pickled objects" in refusal(file)
    torch.save({"a": Evil(made)}, file, _use_new_zipfile_serialization=False)
    assert "pickled objects" in refusal(file)
    file.write_bytes(pickle.dumps(Evil(made), protocol=2))
    assert "pickled objects" in refusal(file)
    assert not made.exists()


WRAPPED = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": torch.tensor(3)},
    "model": lambda s: {"model": s},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "ema": lambda s: {"state_dict_ema": s},
    "nested": lambda s: {"model": {"state_dict": s}},
    "module.": lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
    "compiled": lambda s: {"model": {f"module._orig_mod.{k}": v for k, v in s.items()}},
    "averaged": lambda s: {"n_averaged": torch.tensor(1)} | {f"module.{k}": s[k] for k in s},
    "model.": lambda s: {f"model.{k}": v for k, v in s.items()},
    "raw before average": lambda s: {"model_ema": {k: v * 0 for k, v in s.items()}, "model": s},
}


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("suffix", [".pth", ".bin", ".ckpt", ".weights"])
def test_where_the_weights_lie(name, suffix, tmp_path: Path, trained):
    file = tmp_path / f"a{suffix}"
    torch.save(WRAPPED[name](trained), file)
    module = efficientmod(2)
    load_into(module, file)
    assert digest(module) == digest(efficientmod(1))


@pytest.mark.parametrize("name", ["a.safetensors", "a", "a.pth"])
def test_safetensors_by_content(name, tmp_path: Path, trained):
    save_file(trained, tmp_path / name)
    module = efficientmod(2)
    load_into(module, tmp_path / name)
    assert digest(module) == digest(efficientmod(1))


def test_a_prefix_that_is_the_modules_own_stays(tmp_path: Path):
    wrapped = nn.ModuleDict({"model": nn.Linear(2, 2)})
    save_file(wrapped.state_dict(), tmp_path / "a.safetensors")
    other = nn.ModuleDict({"model": nn.Linear(2, 2)})
    load_into(other, tmp_path / "a.safetensors")
    assert digest(other) == digest(wrapped)


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_truncation(form, tmp_path: Path, trained):
    whole, cut = tmp_path / "whole", tmp_path / ("a.safetensors" if form[0] == "s" else "a.pth")
    if form == "safetensors":
        save_file(trained, whole)
    else:
        torch.save(trained, whole, _use_new_zipfile_serialization=form == "zip")
    data = whole.read_bytes()
    places = [*range(10), 63, 64, 65, 200, *(len(data) * i // 25 for i in range(1, 25))]
    for place in [*places, len(data) - 100, len(data) - 1]:
        cut.write_bytes(data[:place])
        assert "again" in refusal(cut), place
    cut.write_bytes(data)
    load_into(efficientmod(2), cut)


def test_files_that_are_none(tmp_path: Path):
    assert "No such file" in refusal(tmp_path / "missing.pth")
    assert "directory" in refusal(tmp_path)
    file = tmp_path / "a.safetensors"
    save_file({}, file)
    assert "no tensors" in refusal(file)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    assert "git lfs pull" in refusal(file)
    text = tmp_path / "notes.txt"
    text.write_text("hello " * 40)
    assert "no checkpoint" in refusal(text)


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("content", [{}, [1, 2], torch.ones(3), {"epoch": 3}, {1: torch.ones(1)}])
def test_content_that_is_no_state_dict(content, tmp_path: Path):
    torch.save(content, tmp_path / "a.pth")
    assert "holds no state dict" in refusal(tmp_path / "a.pth")


def test_missing_extra_and_misshaped_keys(tmp_path: Path, trained):
    file = tmp_path / "a.safetensors"
    trained["layers.0.blocks.0.mlp.fc1.wieght"] = trained.pop("layers.0.blocks.0.mlp.fc1.weight")
    trained["norm.weight"] = torch.ones(3)
    save_file(trained, file)
    message = refusal(file)
    near = "layers.0.blocks.0.mlp.fc1.weight (near: layers.0.blocks.0.mlp.fc1.wieght)"
    assert f"1 missing: {near}" in message
    assert "1 that the model lacks: layers.0.blocks.0.mlp.fc1.wieght (near: " in message
    assert "norm.weight is float32[3], the model's float32[16]" in message
    save_file({"other": torch.ones(1)}, file)
    message = refusal(file)
    assert f"and {len(efficientmod(1).state_dict()) - 10} more" in message


def test_a_wrong_head_says_how_many_classes(tmp_path: Path, trained):
    save_file(trained, tmp_path / "a.safetensors")
    message = refusal(tmp_path / "a.safetensors", efficientmod(2, classes=7))
    assert "2 of another shape or kind: head.weight is float32[10, 16]" in message
    assert "num_classes=10" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_cast(dtype, tmp_path: Path, trained):
    save_file({k: v.to(dtype) for k, v in trained.items()}, tmp_path / "a.safetensors")
    module = efficientmod(2)
    load_into(module, tmp_path / "a.safetensors")
    for name, value in module.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, trained[name].to(dtype).float())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
def test_values_that_are_no_numbers(bad, tmp_path: Path, trained):
    weights = {k: v.double() for k, v in trained.items()}
    weights["layers.1.blocks.0.norm.weight"][3] = bad
    weights["norm.weight"][0] = bad
    save_file(weights, tmp_path / "a.safetensors")
    assert "'layers.1.blocks.0.norm.weight' holds NaN" in refusal(tmp_path / "a.safetensors")


def test_quantized_integers_are_not_taken_for_floats(tmp_path: Path, trained):
    trained["norm.weight"] = torch.ones(16, dtype=torch.int8)
    save_file(trained, tmp_path / "a.safetensors")
    assert "norm.weight is int8[16]" in refusal(tmp_path / "a.safetensors")


def test_what_may_be_missing_or_infinite(tmp_path: Path):
    file = tmp_path / "a.safetensors"
    norm = nn.BatchNorm2d(2)
    norm.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    weights = norm.state_dict()
    del weights["num_batches_tracked"]
    save_file(weights, file)
    load_into(norm, file)

    tied = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    tied[1].weight = tied[0].weight
    save_model(tied, str(file))
    nn.init.zeros_(tied[0].weight)
    load_into(tied, file)
    assert tied[1].weight.abs().sum() > 0
