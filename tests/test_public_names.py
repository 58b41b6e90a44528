"""What `from edgevit import ...` gives."""

import pytest

import edgevit


@pytest.mark.parametrize("name", edgevit.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(edgevit, name).__doc__


def test_every_command_that_is_a_function_is_public():
    assert {"convert", "explain", "locate", "profile", "verify"} <= set(edgevit.__all__)
