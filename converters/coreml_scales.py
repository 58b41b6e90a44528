"""Per-channel scales that coremltools fuses, kept exact.

coremltools 9.0 makes a batch norm of x · a + b, with mean 0 and variance 1, and forgets that a
batch norm adds an epsilon to the variance, 1e-5 unless told: each scale comes out 5e-6 too small,
eighty times fp32's rounding. Here the variance of those it makes is 1 - 1e-5.
"""

from typing import Any

import numpy as np


def register() -> None:
    """Put the mended pass in the place of coremltools' own, for this process."""
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil.passes.defs import optimize_elementwise_binary
    from coremltools.converters.mil.mil.passes.pass_registry import register_pass

    theirs: Any = optimize_elementwise_binary.fuse_elementwise_to_batchnorm

    class Exact(theirs):  # type: ignore[misc]
        def apply(self, prog: Any) -> None:
            known = _batch_norms(prog)
            super().apply(prog)
            for op in _batch_norms(prog):
                if op in known:
                    continue
                with op.enclosing_block as block:
                    exact = mb.batch_norm(
                        **{key: op.inputs[key] for key in ("x", "mean", "gamma", "beta")},
                        variance=op.variance.val - np.float32(op.epsilon.val),
                        name=op.outputs[0].name,
                        before_op=op,
                    )
                    block.replace_uses_of_var_after_op(
                        anchor_op=op, old_var=op.outputs[0], new_var=exact
                    )
                    block.remove_ops([op])

    register_pass(namespace="common", override=True, name=theirs.__name__)(Exact)


def _batch_norms(program: Any) -> list[Any]:
    blocks = program.functions.values()
    return [op for block in blocks for op in block.operations if op.op_type == "batch_norm"]
