"""One sentence for every unknown name."""

import pytest

from edgevit.errors import UnknownName
from edgevit.lookup import lookup, unknown

TABLE = {"executorch": 1, "tflite": 2, "coreml": 3, "onnx": 4}


def test_a_known_name_is_found():
    assert lookup("target", "coreml", TABLE) == 3


def test_a_near_name_is_suggested():
    with pytest.raises(UnknownName) as e:
        lookup("target", "corelm", TABLE)
    assert str(e.value) == "unknown target 'corelm'; did you mean 'coreml'?"
    assert e.value.__suppress_context__
    assert unknown("m", "ab1", ["ab2", "ab3"]).endswith("did you mean 'ab3' or 'ab2'?")


def test_names_far_from_all_get_the_list_or_the_command():
    assert unknown("target", "zzz", TABLE).endswith("; there are: coreml, executorch, onnx, tflite")
    assert unknown("model", "", [f"m{i}" for i in range(13)]) == (
        "unknown model ''; there are 13; `edgevit list` shows them"
    )
    assert "'a\\nb'" in unknown("model", "a\nb", ["c"])
