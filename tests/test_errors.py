"""The tree in the docstring is the tree of the classes, and the table is that of the exit codes."""

import re

import pytest

from edgevit import errors
from edgevit.errors import EdgevitError, by_name


def drawn() -> list[tuple[str, str | None, int]]:
    """(name, parent, exit code) of each line of the drawing; a code stands where it changes."""
    rows: list[tuple[str, str | None, int]] = []
    path: list[tuple[str, int]] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)([A-Z]\w+) +(\d )?", line + "  "):
            depth = len(found[1]) // 4
            if found[2] != "EdgevitError" and not depth:
                continue  # the text around
            path[depth:] = []
            code = int(found[3]) if found[3] else path[-1][1]
            rows.append((found[2], path[-1][0] if path else None, code))
            path.append((found[2], code))
    return rows


def classes(kind: type[EdgevitError]) -> list[type[EdgevitError]]:
    ours = [k for k in kind.__subclasses__() if k.__module__ == errors.__name__]
    return [kind, *(c for child in ours for c in classes(child))]


def test_the_drawing_is_the_tree_with_its_exit_codes():
    def parent(kind: type[EdgevitError]) -> str | None:
        return None if kind is EdgevitError else kind.__bases__[0].__name__

    tree = [(k.__name__, parent(k), k.exit_code) for k in classes(EdgevitError)]
    assert sorted(drawn()) == sorted(tree)
    assert len(tree) == 15


@pytest.mark.parametrize("kind", classes(EdgevitError))
def test_every_kind_is_found_by_its_name(kind):
    assert by_name(kind.__name__) is kind
    assert kind("a sentence").message == "a sentence"


def test_no_other_name_is_found():
    assert [by_name(n) for n in ("ValueError", "Exception", "", "object")] == [None] * 4
