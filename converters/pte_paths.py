"""Module paths in a .pte, kept where ExecuTorch has room for the stack trace of each instruction.

    kernel call     one frame, called like the module that it computes in
    delegate call   one frame for each node inside; its line is the node's debug handle, which
                    XNNPACK's runtime names in what it says of that node

`emit_stacktrace` would write the user's folders into the file, and refuses delegates. A runtime
passes the frames over, and a frame without a file name is ours.
"""

from collections.abc import Iterable
from typing import Any

from .rewrites.graph import module_path


def with_paths(made: Any) -> bytes:
    """The file of an ExecutorchProgramManager, with the module of every operator in it."""
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir._serialize._serialize import serialize_for_executorch
    from executorch.exir.lowered_backend_module import executorch_call_delegate
    from executorch.exir.schema import Frame, FrameList

    (plan,) = made.executorch_program.execution_plan
    frames = [FrameList([]) for _ in plan.chains[0].instructions]
    graph = made.exported_program().graph
    for node in graph.find_nodes(op="call_function", target=executorch_call_delegate, sort=False):
        lowered = getattr(graph.owning_module, node.args[0].target)
        inside = dict(_handles(lowered.original_module.graph.nodes))
        frames[node.meta["debug_handle"]].items = [
            Frame("", handle, path, "") for handle, path in sorted(inside.items())
        ]
    called = {
        (i, plan.operators[instruction.instr_args.op_index].name)
        for i, instruction in enumerate(plan.chains[0].instructions)
        if type(instruction.instr_args).__name__ == "KernelCall"
    }
    for node in graph.nodes:  # also what is no call, such as getitem, with a handle of its own
        name = getattr(getattr(node.target, "_schema", None), "name", "")
        for index, path in _handles([node]):
            if (index, name) in called:
                frames[index].items = [Frame("", 0, path, "")]
    plan.chains[0].stacktrace = frames
    written, _ = serialize_for_executorch(
        made._emitter_output, ExecutorchBackendConfig(), made._data_serializer, made._named_data
    )
    return bytes(written)


def _handles(nodes: Iterable[Any]) -> Iterable[tuple[int, str]]:
    """Debug handle (of a kernel call: the instruction's number) and path of each node with both."""
    for node in nodes:
        handle = node.meta.get("debug_handle")
        if node.op == "call_function" and handle is not None and (path := module_path(node)):
            yield handle, path
