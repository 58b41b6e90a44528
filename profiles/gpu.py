"""PyTorch and ONNX Runtime on a CUDA device: what `timed` opens there beside the targets.

    torch-eager-*     a recipe's model as PyTorch calls it, operator by operator
    torch-graphs-*    the same, recorded once as a CUDA graph and replayed
    onnxruntime-cuda  an .onnx in ONNX Runtime's CUDA provider, its input copied there and back
    torch-cpu-fp32    the first on the processor, where everything but CUDA's own lines is tested

A call returns when the device is done. fp32 is fp32, not TF32. torch's inputs lie on the device,
and its tokens merge by indices, as the paper's do. No CUDA device has run this yet.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit import digest
from edgevit.converters.onnx import LoadedOnnx
from edgevit.converters.target import Array, Tensor
from edgevit.errors import InputError
from edgevit.recipe import Recipe
from edgevit.staging import write_text

from .variant import Item

if TYPE_CHECKING:
    from torch import nn


def available() -> dict[str, Any]:
    """device: the GPU's name, empty without one; runtimes: names of RUNTIMES that run on it."""
    import torch

    if not torch.cuda.is_available():
        return {"device": "", "runtimes": []}
    try:
        from onnxruntime import get_available_providers as providers
    except ImportError:
        providers = list
    left_out = {"torch-cpu-fp32", *([] if "CUDAExecutionProvider" in providers() else [ONNX])}
    runtimes = [name for name in RUNTIMES if name not in left_out]
    return {"device": torch.cuda.get_device_name(), "runtimes": runtimes}


def item(recipe: Recipe, runtime: str, folder: Path, *, batch: int = 1) -> Item:
    """What `profile` measures of a recipe in torch; the recipe is written to a file in `folder`."""
    file = folder / f"{recipe.stem}.json"
    write_text(file, json.dumps({"recipe": recipe.as_dict(), "batch": batch}, indent=1) + "\n")
    precision = "fp16" if RUNTIMES[runtime].half else "fp32"
    placement = f"{runtime}, batch {batch}"
    return Item(
        file, runtime, recipe.stem, digest.of(file), precision=precision, placement=placement
    )


@dataclass(frozen=True)
class Torch:
    """PyTorch on a device: eagerly, or as a CUDA graph."""

    device: str = "cuda"
    graph: bool = False
    half: bool = False
    runtime = "torch"

    def load(self, file: Path, *, threads: int = 1) -> "LoadedModule":
        return LoadedModule(json.loads(file.read_text(encoding="utf-8")), self, threads)


class LoadedModule:
    """A module and its inputs, both on the device."""

    inputs: tuple[Tensor, ...] = ()

    def __init__(self, said: dict[str, Any], how: Torch, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # matrix products take none anyway
        torch.backends.cudnn.benchmark = True
        kind = torch.float16 if how.half else torch.float32
        module, inputs = deployed(Recipe.from_dict(said["recipe"]))
        module.to(how.device, kind)
        given = [x.to(how.device, kind).repeat_interleave(said["batch"], 0) for x in inputs]
        self._run: Callable[[], Any] = lambda: module(*given)
        on_cuda = how.device == "cuda"
        self._wait: Callable[[], None] = torch.cuda.synchronize if on_cuda else lambda: None
        if how.graph:
            self._run = _recorded(self._run)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        import torch

        with torch.inference_mode():
            self._run()
        self._wait()
        return ()


def deployed(recipe: Recipe) -> "tuple[nn.Module, tuple[Any, ...]]":
    """The recipe's module, tokens merged and training-time branches folded; its example inputs."""
    from timm.utils.model import reparameterize_model

    from edgevit.prepare import built
    from edgevit.transforms.merge import merged

    model = built(recipe)
    module = model.module
    if recipe.tome is not None:
        module = merged(module, recipe.tome, inputs=model.inputs, form="indices")
    if any(hasattr(part, "reparameterize") for part in module.modules()):
        module = reparameterize_model(module)
    return module.eval().requires_grad_(False), model.inputs


def _recorded(run: Callable[[], Any]) -> Callable[[], Any]:
    """`run` as a CUDA graph, after three calls beside it that choose kernels and fill caches."""
    import torch

    with torch.inference_mode():
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kept = run()  # the graph writes here each time

    def replay() -> Any:
        graph.replay()
        return kept

    return replay


@dataclass(frozen=True)
class OnnxCuda:
    """ONNX Runtime on a CUDA device."""

    runtime = "onnxruntime-gpu"
    half = False

    def load(self, file: Path, *, threads: int = 1) -> LoadedOnnx:
        """InputError where the provider is there but does not start, as without its libraries."""
        cuda = ("CUDAExecutionProvider", {"use_tf32": "0"})
        found = LoadedOnnx(file, threads, providers=[cuda, "CPUExecutionProvider"])
        if found.session.get_providers()[0] != cuda[0]:
            raise InputError(
                "ONNX Runtime's CUDA provider does not start: are CUDA and cuDNN there?"
            )
        return found


ONNX = "onnxruntime-cuda-fp32"
RUNTIMES: dict[str, Torch | OnnxCuda] = {
    "torch-eager-fp32": Torch(),
    "torch-eager-fp16": Torch(half=True),
    "torch-graphs-fp32": Torch(graph=True),
    "torch-graphs-fp16": Torch(graph=True, half=True),
    ONNX: OnnxCuda(),
    "torch-cpu-fp32": Torch("cpu"),
}
