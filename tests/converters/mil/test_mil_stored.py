"""In how many bits a program's numbers are, and that products of 8-bit weights read 8 bits."""

import numpy as np
import pytest
from programs import model, saved

from edgevit.converters.stored import stored
from edgevit.errors import InputError

pytestmark = pytest.mark.needs("coremltools")
X = {"x": np.zeros((1, 4), np.float32)}
STEP = np.float32(0.5)


def file(folder, *, weights, reads):
    """A linear layer of 3 × 4 weights on an input; weights and what it reads in 8 bits, or not."""

    def build(mb, x):
        weight = np.eye(3, 4, dtype=np.float32)
        if weights:
            weight = mb.constexpr_affine_dequantize(
                quantized_data=weight.astype(np.int8),
                zero_point=np.int8(0),
                scale=STEP,
                axis=np.int32(0),
            )
        if reads:
            integers = mb.quantize(input=x, scale=STEP, output_dtype="int8")
            x = mb.dequantize(input=integers, scale=STEP)
        return mb.linear(x=x, weight=weight, bias=np.zeros(3, np.float32))

    return saved(model(build, X), folder)


def test_all_of_it_is_in_8_bits(tmp_path):
    found = stored(file=str(file(tmp_path, weights=True, reads=True)), precision="w8a8")
    assert list(found) == ["32", "8"]
    assert found["8"] == 3 * 4 + 1, "and a zero point"


def test_weights_that_stayed_as_they_were_are_an_error(tmp_path):
    with pytest.raises(InputError, match="w8a8 leaves all 17 numbers of tiny"):
        stored(file=str(file(tmp_path, weights=False, reads=True)), precision="w8a8")


def test_activations_that_stayed_as_they_were_are_an_error(tmp_path):
    """In w8a8; of w8 nothing else is claimed."""
    made = str(file(tmp_path, weights=True, reads=False))
    with pytest.raises(InputError, match="w8a8 leaves what 1 products of tiny"):
        stored(file=made, precision="w8a8")
    assert stored(file=made, precision="w8")["8"] == 13
