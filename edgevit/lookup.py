"""One way to look a name up, so that every unknown name gets the same helpful sentence."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from .errors import UnknownName

T = TypeVar("T")


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or UnknownName with the nearest names: "unknown target 'corelm' ..."."""
    try:
        return table[name]
    except KeyError:
        raise UnknownName(unknown(kind, name, table)) from None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not among `known`."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
    elif len(names) <= 12:
        hint = f"there are: {', '.join(names)}"
    else:
        hint = f"there are {len(names)}; `edgevit list` shows them"
    return f"unknown {kind} {name!r}; {hint}"
