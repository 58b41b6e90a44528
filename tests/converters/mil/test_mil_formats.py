"""Number formats: half precision after each operator, casts, and integers that stand for reals."""

import numpy as np
import pytest
from cases import Case, Maker, check
from programs import evaluated, model, saved

from edgevit.converters.mil.evaluate import Evaluator

pytestmark = pytest.mark.needs("coremltools")


def halves(*values) -> np.ndarray:
    return np.array(values, np.float16)


def run(build, *arrays):
    """As float32, which holds every half."""
    return [a.astype("f8").tolist() for a in evaluated(build, *arrays)]


def test_a_half_is_rounded_after_each_operator_and_not_before():
    """2048 + 1 is no half; kept wide, the second sum would be 2050."""
    found = run(
        lambda mb, x: mb.cast(
            x=mb.add(x=mb.add(x=x, y=np.float16(1)), y=np.float16(1)), dtype="fp32"
        ),
        halves(2048, 3),
    )
    assert found == [[2048, 5]]


def test_inside_an_operator_sums_are_wide():
    """4096 ones: a sum kept in half would stop at 2048."""
    found = run(
        lambda mb, x: mb.cast(x=mb.reduce_sum(x=x, axes=[0], keep_dims=False), dtype="fp32"),
        np.ones((4096, 1), np.float16),
    )
    assert found == [[4096]]


def test_above_65504_a_half_is_infinite_and_stays_so():
    def build(mb, x):
        y = mb.mul(x=x, y=np.float16(2))
        return [mb.cast(x=v, dtype="fp32") for v in (y, mb.mul(x=y, y=np.float16(0.25)))]

    assert run(build, halves(30000, 40000, -40000)) == [
        [60000, np.inf, -np.inf],
        [15000, np.inf, -np.inf],
    ]


def test_below_the_smallest_half_there_is_zero():
    found = run(
        lambda mb, x: mb.cast(x=mb.mul(x=x, y=np.float16(2**-13)), dtype="fp32"),
        halves(2**-11, 2**-12, 1),
    )
    assert found == [[2**-24, 0, 2**-13]]


def test_parameters_of_another_format_do_not_change_that_of_the_result():
    """From iOS 17 on they may: batch_norm in fp32 about an fp16 tensor, and the reverse."""
    check("batch_norm of halves", lambda rng: normalized(rng, "f2", "f4"), 0)
    check("batch_norm by halves", lambda rng: normalized(rng, "f4", "f2"), 0)


def normalized(rng, dtype, of_parameters):
    x = rng.normal(size=(2, 3, 4, 4)).astype(dtype)
    mean, variance = (rng.uniform(0.5, 2, 3).astype(of_parameters) for _ in range(2))
    shape = (3, 1, 1)
    y = (x.astype("f8") - mean.reshape(shape)) / np.sqrt(variance.astype("f8") + 0.25).reshape(
        shape
    )
    epsilon = np.array(0.25, of_parameters)[()]
    attributes = {"mean": mean, "variance": variance, "epsilon": epsilon}
    return Case({"x": x}, y.astype(dtype), attributes)


def test_inputs_and_outputs_in_half(tmp_path):
    x = np.array([[1.0, 2049.0, 1e5]], np.float32)
    given = {"x": np.zeros_like(x, np.float16)}
    file = saved(model(lambda mb, x: mb.add(x=x, y=np.float16(1)), given, half=True), tmp_path)
    loaded = Evaluator(file)
    assert [(p.name, p.dtype, p.shape) for p in loaded.inputs] == [("x", "float16", (1, 3))]
    (found,) = loaded(x)
    assert found.dtype == np.float16
    assert found.tolist() == [[2.0, 2048.0, np.inf]]  # 2049 is 2048 as a half, and so is 2048 + 1


CASTS = ("fp16", "fp32", "int32", "int16", "uint16", "int8", "uint8", "bool")


def cast(dtype, source) -> Maker:
    def make(rng):
        x = np.array([0, 1, 2, 100, 7], source)
        x = (x - np.array([0, 0.5, 0, 0.75, 0.25], "f4")).astype(source) if source == "f4" else x
        kinds = {"fp16": "f2", "fp32": "f4", "bool": "?"}
        return Case({"x": x}, x.astype(kinds.get(dtype, dtype)), {"dtype": dtype})

    return make


def quantized(rng, *, of="f4", dtype="int8", axis=None, zero=True):
    x = rng.uniform(-40, 40, (2, 3, 5)).astype(of)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    count = None if axis is None else x.shape[axis]
    scale = rng.uniform(0.05, 0.5, count).astype(of) if count else np.array(0.25, of)[()]
    point = (
        rng.integers(low // 2, high // 2, count).astype(dtype) if count else np.dtype(dtype).type(5)
    )
    along = [-1 if d == (axis or 0) % 3 else 1 for d in range(3)] if count else []
    reshaped = [np.asarray(v, "f8").reshape(along) for v in (scale, point if zero else 0 * point)]
    levels = np.clip(
        np.round(x.astype("f4") / reshaped[0].astype("f4")) + reshaped[1], low, high
    ).astype(dtype)
    options = ({"zero_point": point} if zero else {}) | ({} if axis is None else {"axis": axis})
    return x, levels, scale, reshaped, options


def quantize(**how) -> Maker:
    def make(rng):
        x, levels, scale, _, options = quantized(rng, **how)
        dtype = str(levels.dtype)
        return Case({"input": x}, levels, {"scale": scale, "output_dtype": dtype} | options)

    return make


def dequantize(**how) -> Maker:
    def make(rng):
        x, levels, scale, (factor, zero), options = quantized(rng, **how)
        wide = (factor * (levels.astype("f8") - zero)).astype(x.dtype)
        return Case({"input": levels}, wide, {"scale": scale} | options)

    return make


WAYS = {
    "": {},
    " of uint8": {"dtype": "uint8"},
    " without zero point": {"zero": False},
    " along an axis": {"axis": 1},
    " along the last axis": {"axis": -1, "dtype": "uint8"},
    " of fp16": {"of": "f2"},
    " of fp16 along an axis": {"of": "f2", "axis": 0},
}
CASES: dict[str, Maker] = {
    **{f"cast from {source} to {c}": cast(c, source) for source in ("f4", "i4") for c in CASTS},
    **{f"quantize{name}": quantize(**how) for name, how in WAYS.items()},
    **{f"dequantize{name}": dequantize(**how) for name, how in WAYS.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_casts_and_levels(name):
    check(name, CASES[name], 0)


def levels(x, **how):
    """What `quantize` makes of x, cast to int32."""
    (found,) = evaluated(
        lambda mb, x: mb.cast(x=mb.quantize(input=x, **how), dtype="int32"),
        np.array(x, np.float32),
    )
    return found.tolist()


def test_levels_by_hand():
    """Ties go to the even level, before the zero point is added; beyond the last there is none."""
    step = {"scale": np.float32(0.5)}
    x = [[0.25, 0.75, 1.25, -0.25, -0.75, 0.3, 100, -100]]
    assert levels(x, output_dtype="int8", **step) == [[0, 2, 2, 0, -2, 1, 127, -128]]
    assert levels(x, output_dtype="int8", zero_point=np.int8(5), **step) == [
        [5, 7, 7, 5, 3, 6, 127, -128]
    ]
    assert levels(x, output_dtype="uint8", **step) == [[0, 2, 2, 0, 0, 1, 200, 0]]
    assert levels(x, output_dtype="uint8", zero_point=np.uint8(100), **step) == [
        [100, 102, 102, 100, 98, 101, 255, 0]
    ]
    each = {"scale": np.float32([1, 2]), "zero_point": np.int8([2, 4]), "output_dtype": "int8"}
    for axis in (1, -1):
        assert levels([[1, 2], [3, 4]], axis=axis, **each) == [[3, 5], [5, 6]]
    assert levels([[1, 2], [3, 4]], axis=0, **each) == [[3, 4], [6, 6]]


def values(x, **how):
    """What `dequantize` makes of levels, as float32."""

    def build(mb, x):
        kind = how.get("zero_point", np.int8(0)).dtype.name
        return mb.cast(x=mb.dequantize(input=mb.cast(x=x, dtype=kind), **how), dtype="fp32")

    return evaluated(build, np.array(x, np.int32))[0].tolist()


def test_values_of_levels_by_hand():
    """The difference of two levels needs nine bits; fp16 rounds the product, not the difference."""
    assert values([[-128, 0, 127]], scale=np.float32(0.5)) == [[-64, 0, 63.5]]
    assert values([[-128, 127]], scale=np.float32(2), zero_point=np.int8(127)) == [[-510, 0]]
    assert values([[0, 255]], scale=np.float32(1), zero_point=np.uint8(255)) == [[-255, 0]]
    each = {"scale": np.float32([1, 2]), "zero_point": np.uint8([2, 4])}
    assert values([[3, 5], [5, 6]], axis=1, **each) == [[1, 2], [3, 4]]
    tenth = float(np.float16(0.1))  # 0.0999755859375
    assert values([[1, 127]], scale=np.float16(0.1)) == [[tenth, float(np.float16(127 * tenth))]]
    assert values([[100]], scale=np.float16(1000), zero_point=np.int8(0)) == [[np.inf]]


def test_levels_of_halves_as_on_a_mac():
    """The numbers of coremltools' own test: a step of 0.1 in fp16, which is a little less."""

    def build(mb, x):
        half = mb.cast(x=x, dtype="fp16")
        how = {"scale": np.float16(0.1), "zero_point": np.int8(10), "output_dtype": "int8"}
        return mb.cast(x=mb.quantize(input=half, **how), dtype="int32")

    (found,) = evaluated(build, np.array([-1, 0, 1, 2], np.float32))
    assert found.tolist() == [0, 10, 20, 30]
