"""A dequantize that several read: what XNNPACK takes as one with its quantize has a copy."""

import operator

import pytest
import torch


@pytest.mark.needs("executorch")
def test_a_sum_between_dequantize_and_quantize_reads_its_own():
    """FastViT's residual around a kernel in fp32: joined, they would wait for each other."""
    from executorch.exir.backend.canonical_partitioners import group_partitioner  # noqa: F401
    from torchao.quantization.pt2e import quantize_pt2e  # noqa: F401

    from edgevit.converters.executorch_int8 import _dequantize_for_each

    pairs = torch.ops.quantized_decomposed
    quantize, dequantize = (pairs.quantize_per_tensor, pairs.dequantize_per_tensor)
    scale = (0.1, 0, -128, 127, torch.int8)
    graph = torch.fx.Graph()

    def pair(x):
        eight = graph.call_function(quantize.default, (x, *scale))
        return graph.call_function(dequantize.default, (eight, *scale))

    x = pair(graph.placeholder("x"))
    inside = [graph.call_function(torch.sin, (x,)) for _ in range(2)]
    branch = pair(graph.call_function(operator.add, (inside[0], inside[1])))
    total = graph.call_function(operator.add, (x, branch))
    graph.output(pair(total))
    net, given = torch.fx.GraphModule({}, graph), torch.randn(5)
    before = net(given)
    _dequantize_for_each(graph)
    net.recompile()
    assert torch.equal(net(given), before)
    own = total.args[0]
    assert own is not x
    assert [*own.users] == [total]
    assert own.args[0] is x.args[0]
    assert [*x.users] == inside, "what stays in fp32 shares one"
