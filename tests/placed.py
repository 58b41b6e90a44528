"""Where a file's graph runs, by the formats' own schemas and without any code of ours."""

import warnings
from pathlib import Path


def executorch(file: Path) -> tuple[int, list[str]]:
    """Delegate calls, and the kernels called outside them."""
    calls, kernels = 0, []
    with warnings.catch_warnings():  # executorch 1.4 reads its schema in a deprecated way
        warnings.simplefilter("ignore", DeprecationWarning)
        from executorch.exir._serialize._program import deserialize_pte_binary

        program = deserialize_pte_binary(file.read_bytes()).program
    for plan in program.execution_plan:
        for instruction in (i for chain in plan.chains for i in chain.instructions):
            call = instruction.instr_args
            if type(call).__name__ == "DelegateCall":
                calls += 1
            elif type(call).__name__ == "KernelCall":
                kernels.append(plan.operators[call.op_index].name)
    return calls, kernels


def tflite(file: Path) -> tuple[int, list[str]]:
    """Delegates, and the graph's inputs and outputs that do not belong to one of them.

    With one delegate from the inputs of the file's graph to its outputs, nothing is left outside.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    (graph,) = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0).subgraphs
    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    computed = {int(t) for node in nodes if node["op_name"] != "DELEGATE" for t in node["outputs"]}
    taken = {int(t) for node in delegates for t in node["inputs"]} & computed
    given = {int(t) for node in delegates for t in node["outputs"]}
    loose = taken | (set(map(int, graph.outputs)) - given)
    return len(delegates), [graph.tensors[t].name.decode() for t in sorted(loose)]
