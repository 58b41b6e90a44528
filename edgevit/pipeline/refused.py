"""A runtime's refusal of a file, as a person can read it: what, in which module, and what it means.

The runtime's decisive line is often not in the error that it raises but among the lines that it
writes before; the child keeps those with the error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..converters import culprit
from ..converters.refusals import told
from ..errors import ChildError, ChildMemory, ChildTimeout, EdgevitError
from .prepared import Limits


@contextmanager
def explained_refusal(file: Path, target: str, limits: Limits) -> Iterator[None]:
    """Around what a runtime does with `file`; a ChildError comes out explained."""
    try:
        yield
    except (ChildMemory, ChildTimeout):  # they say it themselves
        raise
    except ChildError as e:
        said = f"{e}\n{e.words}"
        raise type(e)(told(str(e), where=_traced(file, target, said, limits), words=e.words)) from e


def _traced(file: Path, target: str, said: str, limits: Limits) -> str | None:
    if not culprit.traceable(said):
        return None
    try:
        with limits.child() as child:
            found: str | None = child.call(
                "edgevit.converters.culprit:trace", target=target, file=file, said=said
            )
    except EdgevitError:  # a file too broken to be read: the runtime's own words stay
        return None
    return found
