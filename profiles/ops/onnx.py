"""ONNX Runtime's own profiler: every node of the graph that it made of the file.

It fuses nodes and adds changes of layout. The graph it runs is written beside the profile; a node
there stands for all nodes of the file from which its result follows and no other node's does.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from edgevit.converters.explain.explanation import Node
from edgevit.converters.explain.onnx import explain
from edgevit.converters.onnx import LoadedOnnx
from edgevit.converters.target import Array

from .timing import Timed

END, BLOCKED, CONST = "_kernel_time", "_nchwc", "Constant"


class ProfiledOnnx:
    clock = "ONNX Runtime's, in whole µs"

    def __init__(self, file: Path, threads: int) -> None:
        self._file, self._runs = file, 0
        self._scratch = tempfile.TemporaryDirectory(prefix="edgevit-")
        self._folder = Path(self._scratch.name)
        self._loaded = LoadedOnnx(file, threads, profile=self._folder)

    def __call__(self, *arrays: Array) -> float:
        begin = perf_counter()
        self._loaded(*arrays)
        self._runs += 1
        return perf_counter() - begin

    def ops(self) -> list[Timed]:
        written = Path(self._loaded.session.end_profiling())
        ran: dict[str, list[dict[str, Any]]] = {}
        for event in json.loads(written.read_text()):
            if event["cat"] == "Node" and event["name"].endswith(END):
                ran.setdefault(event["name"].removesuffix(END), []).append(event)
        origins = _origins(self._file, self._folder / "optimized.onnx")
        return [
            _timed(events, origins.get(name, []))
            for name, events in ran.items()
            if len(events) == self._runs  # others stand in a branch or a loop
        ]


def _timed(events: Sequence[dict[str, Any]], nodes: Sequence[Node]) -> Timed:
    said = events[0]["args"]
    shapes = [shape for typed in said["output_type_shape"] for shape in typed.values()]
    moved = sum(int(said[f"{what}_size"]) for what in ("activation", "parameter", "output"))
    return Timed.of(
        nodes,
        [event["dur"] * 1e-6 for event in events],
        kernel=said["op_name"],
        shape=tuple(shapes[0]) if shapes else (),
        size_bytes=moved,
    )


def _origins(file: Path, optimized: Path) -> dict[str, list[Node]]:
    """For each node of the graph that runs, by name, the nodes of the file that it computes.

    It is found by the tensor that both give, or by what the runtime makes its name of: that tensor
    for convolutions in blocks of channels, a node of the file before "/" for fused ones.
    """
    import onnx

    nodes = [n for n in onnx.load(file, load_external_data=False).graph.node if n.op_type != CONST]
    explained = explain(file).nodes
    maker = {name: i for i, node in enumerate(nodes) for name in node.output}
    called = {node.name: i for i, node in enumerate(nodes)}
    last: dict[str, int] = {}
    for node in onnx.load(optimized, load_external_data=False).graph.node:
        names = [*node.output, node.name.removesuffix(BLOCKED)]
        places = [maker[name] for name in names if name in maker]
        places += [called[name] for name in (node.name.partition("/")[0],) if name in called]
        if places and places[0] not in last.values():  # its result in another layout is no work
            last[node.name] = places[0]
    ends = set(last.values())
    origins: dict[str, list[Node]] = {}
    for name, end in last.items():
        found, waiting = {end}, [end]
        while waiting:
            for source in nodes[waiting.pop()].input:
                i = maker.get(source)
                if i is not None and i not in ends and i not in found:
                    found.add(i)
                    waiting.append(i)
        origins[name] = [explained[i] for i in sorted(found)]
    return origins


open_profiled = ProfiledOnnx
