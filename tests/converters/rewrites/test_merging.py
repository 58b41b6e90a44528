"""before: edgevit.merge_tokens · after: products and clamps, or rows picked by top-k."""

import pytest
import torch
from check_rule import FEW, Net, check, export, operators
from hypothesis import example, given
from hypothesis import strategies as st

from edgevit.converters.rewrites import NAMES
from edgevit.converters.rewrites.merging import without_operator
from edgevit.transforms.merge_forms import Merging
from edgevit.transforms.merge_tokens import merged_by_index, most

FORMS = ("merge_by_products", "merge_by_topk")


def merging(count, r, protected):
    net = Net(lambda m, x, keys, sizes: m.merging(x, keys, sizes.abs() + 1))
    net.merging = Merging(count, r, protected)
    return net


def drawn(batch, count):
    return [torch.randn(batch, count, c) for c in (6, 8, 1)]


@pytest.mark.parametrize("form", FORMS)
@FEW
@example(count=19, protected=2, share=1, batch=3)  # nothing of A is left but what is protected,
@example(count=9, protected=0, share=1, batch=1)  # or nothing at all
@given(
    count=st.integers(5, 30),
    protected=st.integers(0, 3),
    share=st.floats(0.1, 1),
    batch=st.sampled_from([1, 3]),
)
def test_the_tokens_are_the_same(form, count, protected, share, batch):
    names = (form, *(n for n in NAMES if n != "merging"))
    r = max(1, round(share * most(count, protected)))
    done, _ = check(merging(count, r, protected), *drawn(batch, count), applies=form, names=names)
    assert "edgevit::merge_tokens" not in operators(done)
    assert ("topk" in operators(done)) == (form == "merge_by_topk")


def test_nothing_is_joined_that_is_taken_apart_at_once():
    """Tokens and sizes leave the operator side by side."""
    done, report = check(merging(9, 3, 1), *drawn(1, 9), applies="slice_of_cat")
    assert report.applied["slice_of_cat"] == 2
    assert not any(n.args[1:] == (2,) for n in done.graph.nodes if "cat" in str(n.target))


def test_without_a_rewrite_it_is_taken_apart():
    exported = export(merging(9, 3, 1), *drawn(1, 9))
    assert "edgevit::merge_tokens" in operators(exported)
    assert "edgevit::merge_tokens" not in operators(without_operator(exported))
    plain = export(Net(lambda m, x: x + 1), torch.ones(1))
    assert without_operator(plain) is plain


def test_onnx_runtime_picks_the_tokens_of_the_reference(tmp_path):
    """Exact ties too, which torch's own top-k leaves open and ONNX does not."""
    import onnxruntime

    from edgevit.converters.lowering import lower
    from edgevit.program import export as program_of
    from edgevit.reference import PROGRAM

    count, r = 33, 7
    shapes = [(1, count, count), (1, count, 6), (1, count, 1)]
    net = Net(lambda m, x, keys, sizes: m.merging(x, keys, sizes))
    net.merging = Merging(count, r, 1)
    file = tmp_path / "merging.onnx"
    program_of(net, [torch.ones(s) for s in shapes], name="merging").save(tmp_path / PROGRAM)
    report = lower(
        target="onnx", program=str(tmp_path / PROGRAM), file=str(file), precision="fp32", ios=17
    )
    assert report is not None
    assert report["applied"]["merge_by_topk"] == 1
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    g = torch.Generator().manual_seed(0)
    for i in range(300):
        keys = torch.randn(*shapes[1], generator=g)
        if i % 2:  # of three directions only
            keys = (torch.eye(6)[:3] * 2)[torch.randint(0, 3, (1, count), generator=g)]
        sizes = torch.randint(1, 5, shapes[2], generator=g).float()
        given_ = [torch.eye(count)[None], keys, sizes]
        feed = dict(zip(names, [t.numpy() for t in given_], strict=True))
        found, total = map(torch.from_numpy, session.run(None, feed))
        expected, its = merged_by_index(*given_, r, 1)
        assert torch.equal(total, its)
        assert torch.equal(found > 0, expected > 0)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
