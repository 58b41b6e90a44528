"""The exported program itself, run by torch: `.pt2`, so that tests need no mobile runtime."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .grid import Stored
from .target import Array, Loaded, Placement, Tensor

if TYPE_CHECKING:
    from edgevit.program import Program


class Null:
    suffix = ".pt2"
    runtime = "torch"
    needs = ()
    runs_on_torch = False
    runs_here = True
    rewrites = ()
    executes: ClassVar[dict[str, str]] = {"fp32": "torch's own fp32 kernels"}
    in_half = ()
    grids: ClassVar[dict[str, Stored]] = {}

    def lower(self, program: "Program", file: Path, *, precision: str, ios: int) -> None:
        import torch

        torch.export.save(program.exported, file)

    def load(self, file: Path, *, threads: int = 1) -> Loaded:
        return LoadedProgram(file, threads)

    def placement(self, file: Path) -> Placement | None:
        return None


class LoadedProgram:
    """An exported program in torch."""

    def __init__(self, file: Path, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        exported = torch.export.load(file)
        args, _ = exported.example_inputs
        self._module = exported.module()
        self.inputs = tuple(
            Tensor(f"input_{i}", str(t.dtype).removeprefix("torch."), tuple(t.shape))
            for i, t in enumerate(args)
        )

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        import torch

        from edgevit.program import outputs_of

        found = outputs_of(self._module, [torch.from_numpy(a) for a in arrays])
        return tuple(t.numpy() for t in found)


target = Null
