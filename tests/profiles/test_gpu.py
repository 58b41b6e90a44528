"""torch as a runtime: on the processor what a GPU would do, and on a GPU, where there is one."""

import sys

import pytest
import torch

from edgevit.errors import InputError
from edgevit.profiles import gpu
from edgevit.recipe import Recipe


def test_the_model_is_the_one_that_papers_time():
    module, (x,) = gpu.deployed(Recipe("timm:mobileone_s0", num_classes=3))
    assert module(x).shape == (1, 3)
    assert not module.training
    # Re-parameterized, each block is one convolution: nothing is left to normalise.
    assert not [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_tokens_merge_and_batches_run(tmp_path):
    item = gpu.item(Recipe("timm:test_vit", tome=4), "torch-cpu-fp32", tmp_path, batch=3)
    assert (item.label, item.placement) == ("test_vit-tome4", "torch-cpu-fp32, batch 3")
    loaded = gpu.RUNTIMES[item.target].load(item.file)
    assert (loaded.inputs, loaded()) == ((), ())


def test_without_a_gpu_nothing_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.available() == {"device": "", "runtimes": []}


def test_onnx_runtime_counts_where_it_has_the_provider(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Example GPU")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = gpu.available()
    assert found["device"] == "Example GPU"
    assert found["runtimes"] == [
        name for name in gpu.RUNTIMES if "eager" in name or "graph" in name
    ]


@pytest.mark.needs("onnxruntime", "onnx")
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_provider_that_does_not_start_is_named(tmp_path):
    import onnx

    file = tmp_path / "m.onnx"
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) {y = Neg(x)}'
    onnx.save(onnx.parser.parse_model(text), file)
    if torch.cuda.is_available():
        pytest.skip("here it may start")
    with pytest.raises(InputError, match="CUDA provider does not start"):
        gpu.RUNTIMES[gpu.ONNX].load(file)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("runtime", [name for name in gpu.RUNTIMES if name.startswith("torch")])
def test_each_runtime_runs_on_a_gpu(tmp_path, runtime):
    item = gpu.item(Recipe("timm:test_vit", tome=4), runtime, tmp_path, batch=3)
    loaded = gpu.RUNTIMES[item.target].load(item.file)
    for _ in range(3):
        loaded()
