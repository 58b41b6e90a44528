"""Programs that contradict themselves, or say what nobody knows: each is named in one sentence."""

import re

import numpy as np
import pytest
from programs import model, saved
from spoiled import block_of, edited, operation, sentence, tiny, weights_file

from edgevit.converters.mil.evaluate import Evaluator

pytestmark = pytest.mark.needs("coremltools")


def test_what_is_spoiled_here_is_sound(tmp_path):
    loaded = Evaluator(tiny(tmp_path))
    (found,) = loaded(np.ones((1, 3, 4, 4), np.float32))
    assert found.shape == (1, 4, 4, 4)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def use_before_it_is_computed(spec):
    """The convolution after all that reads it."""
    operations = block_of(spec).operations
    copied = type(operations[0])()
    copied.CopyFrom(operation(spec, "first"))
    operations.remove(operation(spec, "first"))
    operations.append(copied)


def use_of_what_is_nowhere(spec):
    operation(spec, "last").inputs["x"].arguments[0].name = "nowhere"


def another_shape(spec):
    dimensions = operation(spec, "first").outputs[0].type.tensorType.dimensions
    dimensions[2].constant.size = 5


def another_rank(spec):
    operation(spec, "middle").outputs[0].type.tensorType.dimensions.pop()


def another_format(spec):
    operation(spec, "middle").outputs[0].type.tensorType.dataType = 10  # FLOAT16


def another_format_of_a_constant(spec):
    operation(spec, "p_stem_weight").outputs[0].type.tensorType.dataType = 10


def two_outputs_of_one(spec):
    operation(spec, "middle").outputs.add().CopyFrom(operation(spec, "middle").outputs[0])


def no_outputs(spec):
    del operation(spec, "middle").outputs[:]


def an_output_nobody_computes(spec):
    block_of(spec).outputs[0] = "lost"


def an_unknown_operator(spec):
    operation(spec, "middle").type = "rain_dance"


def an_operator_with_a_line_break(spec):
    operation(spec, "middle").type = "rain\n\x1b[31mdance"


def an_unknown_input(spec):
    inputs = operation(spec, "middle").inputs
    inputs["rhythm"].CopyFrom(inputs["x"])


def a_missing_input(spec):
    operation(spec, "middle").inputs.pop("x")


def a_constant_without_value(spec):
    operation(spec, "p_stem_weight").attributes.pop("val")


def a_shape_without_sense(spec):
    """More values than there are in all the world's memories."""
    for kind in (
        operation(spec, "p_stem_weight").outputs[0].type,
        operation(spec, "p_stem_weight").attributes["val"].type,
    ):
        kind.tensorType.dimensions[0].constant.size = 2**62


def an_input_without_bounds(spec):
    kind = spec.mlProgram.functions["main"].inputs[0].type
    kind.tensorType.dimensions[3].constant.size = 2**40


def an_input_of_text(spec):
    spec.mlProgram.functions["main"].inputs[0].type.tensorType.dataType = 2


def an_input_that_is_a_list(spec):
    spec.mlProgram.functions["main"].inputs[0].type.listType.SetInParent()


def a_number_format_from_the_future(spec):
    operation(spec, "middle").outputs[0].type.tensorType.dataType = 77


def an_attribute_that_is_text(spec):
    """The name of the padding, where its sizes belong."""
    inputs = operation(spec, "first").inputs
    inputs["pad"].CopyFrom(inputs["pad_type"])


def an_operator_with_a_block(spec):
    operation(spec, "middle").type = "while_loop"


FAULTS = {
    use_before_it_is_computed: r"relu 'middle', .* reads 'first', which nothing before it computes",
    use_of_what_is_nowhere: r"softmax 'last', .* reads 'nowhere', which nothing before it computes",
    another_shape: r"conv 'first' gives .*\[1, 4, 4, 4\], declares fp32 \[1, 4, 5, 4\]",
    another_rank: r"relu 'middle' gives .*\[1, 4, 4, 4\], declares fp32 \[1, 4, 4\]",
    another_format: r"relu 'middle' gives torch.float32 .*, declares fp16 ",
    another_format_of_a_constant: r"const 'p_stem_weight'.* declares another type than its value",
    two_outputs_of_one: r"relu 'middle' gives 1 values, declares 2",
    no_outputs: r"relu '' gives 1 values, declares 0|reads 'middle', which nothing before",
    an_output_nobody_computes: r"nothing computes the output 'lost'",
    an_unknown_operator: r"rain_dance 'middle', after weight 'stem_weight', is an operator that",
    an_operator_with_a_line_break: r"rain  \[31mdance 'middle', .* edgevit does not know",
    an_unknown_input: r"relu 'middle' has an input 'rhythm' that edgevit does not know",
    a_missing_input: r"relu 'middle' cannot be computed: .* missing .* 'x'",
    a_constant_without_value: r"const 'p_stem_weight', .* cannot be read: 'val'",
    a_shape_without_sense: r"const 'p_stem_weight', .* larger than 1 GiB",
    an_input_without_bounds: r"input 'x' declares a tensor of shape .* larger than 1 GiB",
    an_input_of_text: r"input 'x' is text",
    an_input_that_is_a_list: r"input 'x' declares a listType",
    a_number_format_from_the_future: r"relu 'middle', .* number format 77 that edgevit does not",
    an_attribute_that_is_text: r"conv 'first' cannot be computed: ",
    an_operator_with_a_block: r"while_loop 'middle', .* is an operator that edgevit does not know",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__.replace("_", " "))
def test_a_program_that_contradicts_itself(tmp_path, fault):
    package = tiny(tmp_path)
    with edited(package) as spec:
        fault(spec)
    assert re.search(FAULTS[fault], sentence(package))


def test_an_index_beyond_what_there_is(tmp_path):
    def build(mb, x):
        return mb.gather(x=x, indices=np.array([0, 9], np.int32), axis=0, name="beyond")

    file = saved(model(build, {"x": np.zeros((3, 2), np.float32)}), tmp_path)
    assert re.search(r"gather 'beyond' cannot be computed: index 9 is out of", sentence(file))


def test_a_weight_of_another_format_than_its_blob(tmp_path):
    """The file says what each blob holds; the program reads it as something else."""
    package = tiny(tmp_path)
    data = bytearray(weights_file(package).read_bytes())
    data[64 + 4] = 1  # the format of the first blob: fp16
    weights_file(package).write_bytes(data)
    assert "has weights of format 1 at byte 64, not fp32" in sentence(package)
