"""Whole packages: inputs and outputs, images, functions, free sizes; calls that leave no trace."""

from pathlib import Path

import numpy as np
import pytest
from mutants import little_memory
from programs import model, quiet, saved, target, tools

from edgevit.converters.mil.evaluate import Evaluator
from edgevit.errors import ArtifactError

pytestmark = pytest.mark.needs("coremltools")


def f(*shape) -> np.ndarray:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def test_a_dozen_inputs_and_outputs_keep_their_order(tmp_path):
    """Their order and their numbers are all that tells them apart."""
    given = {f"input {chr(110 - i)}": np.zeros((2, 3), np.float32) for i in range(12)}

    def build(mb, *inputs):
        return [mb.mul(x=x, y=np.float32(i + 1)) for i, x in enumerate(inputs)]

    loaded = Evaluator(saved(model(build, given), tmp_path))
    assert len({p.name for p in loaded.inputs}) == 12
    found = loaded(*[np.full((2, 3), 10 + i, np.float32) for i in range(12)])
    assert [float(a.max()) for a in found] == [(10 + i) * (i + 1) for i in range(12)]


def test_inputs_of_other_formats_and_outputs_that_are_read_again(tmp_path):
    """`total` is an output and an input of what follows; the last output is an input as it is."""

    def build(mb, x, indices):
        total = mb.add(x=x, y=mb.gather(x=x, indices=indices, axis=0), name="total")
        return [mb.relu(x=total), total, mb.identity(x=indices)]

    given = {"x": f(3, 2), "indices": np.zeros(3, np.int32)}
    loaded = Evaluator(saved(model(build, given), tmp_path))
    assert [(p.name, p.dtype, p.shape) for p in loaded.inputs] == [
        ("x", "float32", (3, 2)),
        ("indices", "int32", (3,)),
    ]
    order = np.array([2, 0, 1], np.int32)
    relu, total, same = loaded(given["x"], order)
    assert np.array_equal(total, given["x"] + given["x"][order])
    assert np.array_equal(relu, np.maximum(total, 0))
    assert np.array_equal(same, order)


def test_a_call_changes_neither_its_inputs_nor_later_calls(tmp_path):
    """Nor does who writes into what it has returned: weights and inputs are returned as copies."""
    weight = f(4, 3)

    def build(mb, x):
        return [
            mb.identity(x=x),
            mb.linear(x=x, weight=weight),
            mb.identity(x=mb.const(val=weight)),
        ]

    x = f(2, 3)
    loaded = Evaluator(saved(model(build, {"x": x}), tmp_path))
    first = loaded(x)
    kept = [a.copy() for a in (x, *first)]
    for a in first:
        a[:] = 7
    assert np.array_equal(x, kept[0])
    assert all(np.array_equal(a, b) for a, b in zip(loaded(x), kept[1:], strict=True))
    strided = np.asfortranarray(x)
    assert all(np.array_equal(a, b) for a, b in zip(loaded(strided), kept[1:], strict=True))


@pytest.mark.parametrize(("layout", "channels"), [("RGB", 3), ("GRAYSCALE", 1)])
def test_an_image_is_given_as_its_pixels(tmp_path, layout, channels):
    """scale and bias are operators of the program; with them, pixels become what the net takes."""
    ct = tools().ct
    bias = [-0.5, -0.25, 0.125][:channels]
    image = ct.ImageType(
        name="x",
        shape=(1, channels, 4, 5),
        scale=1 / 64,
        bias=bias if channels == 3 else bias[0],
        color_layout=getattr(ct.colorlayout, layout),
    )
    options = {"inputs": [image], "pass_pipeline": ct.PassPipeline.DEFAULT}
    pixels = np.random.default_rng(0).integers(0, 256, (1, channels, 4, 5)).astype(np.float32)
    converted = model(lambda mb, x: mb.square(x=x), {"x": pixels}, **options)
    assert converted.get_spec().description.input[0].type.WhichOneof("Type") == "imageType"
    loaded = Evaluator(saved(converted, tmp_path))
    assert [(p.dtype, p.shape) for p in loaded.inputs] == [("float32", (1, channels, 4, 5))]
    expected = (pixels / 64 + np.reshape(bias, (1, -1, 1, 1)).astype(np.float32)) ** 2
    np.testing.assert_allclose(loaded(pixels)[0], expected, rtol=1e-6, atol=1e-6)


def test_the_functions_of_one_package(tmp_path):
    """They share their weights; without a name it is the default one that is read."""
    ct, weight = tools().ct, f(64, 48)
    for name, factor in (("once", 1), ("twice", 2)):

        def build(mb, x, factor=factor):
            return mb.mul(x=mb.linear(x=x, weight=weight), y=np.float32(factor))

        saved(model(build, {"x": f(2, 48)}, ios=18), tmp_path, name)
    described = ct.utils.MultiFunctionDescriptor()
    for name in ("once", "twice"):
        described.add_function(str(tmp_path / f"{name}.mlpackage"), "main", f"does_{name}")
    described.default_function_name = "does_twice"
    both = tmp_path / "both.mlpackage"
    with quiet():
        ct.utils.save_multifunction(described, str(both))
    expected = f(2, 48) @ weight.T
    for function, factor in (("", 2), ("does_once", 1), ("does_twice", 2)):
        found = Evaluator(both, function)(f(2, 48))[0]
        np.testing.assert_allclose(found, factor * expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(
        ArtifactError, match="no function 'main'; there are: 'does_once', 'does_twice'"
    ):
        Evaluator(both, "main")


def test_sizes_that_may_vary(tmp_path):
    """Each operator's declared shape holds for what is fixed in it."""
    t = tools()
    held = {"x": t.mb.placeholder(shape=(1, t.mil.get_new_symbol(), 4))}
    program = t.mil.Program()
    with t.mil.Function(held, opset_version=target(17)) as function:
        rows = t.mb.shape(x=function.inputs["x"])
        scaled = t.mb.mul(x=function.inputs["x"], y=f(4))
        function.set_outputs([scaled, rows])
    program.add_function("main", function)
    free = t.ct.TensorType(name="x", shape=t.ct.Shape((1, t.ct.RangeDim(2, 9), 4)))
    with quiet():
        converted = t.ct.convert(
            program,
            inputs=[free],
            minimum_deployment_target=target(17),
            compute_precision=t.ct.precision.FLOAT32,
            pass_pipeline=t.ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
    loaded = Evaluator(saved(converted, tmp_path))
    for n in (2, 5):
        found, rows = loaded(f(1, n, 4))
        assert np.array_equal(found, f(1, n, 4) * f(4))
        assert rows.tolist() == [1, n, 4]


@pytest.mark.parametrize("ios", [15, 16, 17, 18])
def test_each_opset(tmp_path: Path, ios):
    weight = f(6, 3, 3, 3)

    def build(mb, x):
        y = mb.conv(x=x, weight=weight, pad_type="same", strides=[2, 2])
        return mb.reduce_mean(x=mb.relu(x=y), axes=[2, 3], keep_dims=False)

    file = saved(model(build, {"x": f(1, 3, 8, 8)}, ios=ios), tmp_path)
    (found,) = Evaluator(file)(f(1, 3, 8, 8))
    assert found.shape == (1, 6)
    assert 0 < found.max() < 10


def test_a_value_is_kept_no_longer_than_it_is_read(tmp_path):
    """Forty values of 4 MiB one after the other, in 64 MiB."""
    x = np.zeros((1024, 1024), np.float32)

    def build(mb, y):
        for _ in range(40):
            y = mb.add(x=y, y=np.float32(1))
        return y

    loaded = Evaluator(saved(model(build, {"x": x}), tmp_path))
    with little_memory():
        (found,) = loaded(x)
    assert found.min() == found.max() == 40
