"""Messages come back as they were sent, or not at all."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgevit.wire import receive, send

DTYPES = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?"),
    npst.complex_number_dtypes(endianness="?"),
)
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, min_side=0, max_dims=5, max_side=4))
VIEWS = ARRAYS.flatmap(
    lambda a: st.sampled_from([a, a.T, a[::-1] if a.ndim else a, a[..., ::2] if a.ndim else a])
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | VIEWS
KEYS = st.text().filter(lambda k: k != "__array__")
MESSAGES = st.recursive(
    LEAVES, lambda m: st.lists(m, max_size=4) | st.dictionaries(KEYS, m, max_size=4), max_leaves=12
)


def sent(message) -> bytes:
    stream = io.BytesIO()
    send(stream, message)
    return stream.getvalue()


def assert_same(got, expected):
    assert type(got) is type(expected)
    if isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()
        assert got.flags.writeable
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert_same(a, b)
    else:
        assert got == expected


@given(MESSAGES, MESSAGES)
def test_two_messages_come_back_in_order(first, second):
    stream = io.BytesIO(sent(first) + sent(second))
    assert_same(receive(stream), first)
    assert_same(receive(stream), second)
    assert stream.read() == b""


@given(MESSAGES, st.data())
def test_a_message_cut_anywhere_is_an_end_of_file(message, data):
    whole = sent(message)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EOFError):
        receive(io.BytesIO(whole[:end]))


def test_bytes_of_an_array_follow_in_c_order():
    array = np.arange(6, dtype=">i2").reshape(2, 3).T
    text = sent([array])
    (length,) = struct.unpack("<Q", text[:8])
    assert json.loads(text[8 : 8 + length]) == [{"__array__": [">i2", [3, 2]]}]
    assert text[8 + length :] == np.array([0, 3, 1, 4, 2, 5], ">i2").tobytes()


def test_what_json_knows_by_another_name():
    message = {"path": Path("a b/ü"), "tuple": (1, 2), "number": np.float32(0.5), 3: np.int64(4)}
    got = receive(io.BytesIO(sent(message)))
    assert got == {"path": "a b/ü", "tuple": [1, 2], "number": 0.5, "3": 4}


@pytest.mark.parametrize(
    "unsendable",
    [
        object(),
        b"bytes",
        np.array([object()]),
        np.array(["text"]),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f4")]),
        {"__array__": ["|O", [1]]},
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_cannot_be_sent_leaves_the_stream_clean(unsendable):
    stream = io.BytesIO()
    with pytest.raises(TypeError):
        send(stream, [np.zeros(3), unsendable])
    assert stream.getvalue() == b""
