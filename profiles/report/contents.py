"""What a report is made of: artifacts with their cards, and the runs that measured them.

A run belongs to the artifact of its SHA-256. Whatever is damaged is found here, because everything
a report shows is computed here, and is named among what was left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit import digest
from edgevit.converters.artifact import ASIDE, Artifact
from edgevit.converters.card import SUFFIX
from edgevit.converters.target import TARGETS, find
from edgevit.errors import ArtifactError, EdgevitError, InputError
from edgevit.profiles.compare import ratio
from edgevit.profiles.run import LIKE, Run

from .entry import Entry, of_artifact, of_run
from .table import rows

RUNS = "runs"  # the folder of runs in the folder of artifacts


@dataclass(frozen=True)
class Session:
    """Runs that were taken side by side, with their rows of the report; the first is the base."""

    runs: Sequence[Run]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Contents:
    """left_out: file → why it is not shown."""

    entries: Sequence[Entry]
    sessions: Sequence[Session]
    left_out: Mapping[str, str]


def read(
    folder: Path, *, but: Path | None = None, top1_pct: Mapping[str, float] | None = None
) -> Contents:
    """All that lies in `folder` and its folder `runs`; `but`: the report itself.

    top1_pct: what papers say of models' accuracy on ImageNet-1k, by the models' names.

    InputError where it is no folder, or holds nothing to report.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name one into which `edgevit convert` wrote")
    suffixes = {find(name).suffix for name in TARGETS} | {ASIDE}
    artifacts: list[Artifact] = []
    runs: list[Run] = []
    left_out: dict[str, str] = {}
    for file in sorted(folder.iterdir()):
        with _naming(file.name, left_out):
            if file.suffix in suffixes:
                artifacts.append(Artifact.read(file, card_required=False, rejected=True))
            elif file.suffix == SUFFIX and Path(file.stem).suffix in suffixes:
                if not file.with_suffix("").exists():
                    raise ArtifactError("a card without its artifact")
            elif file.name != RUNS and (but is None or file.absolute() != but.absolute()):
                raise ArtifactError("neither an artifact nor a card")
    for file in sorted((folder / RUNS).iterdir()) if (folder / RUNS).is_dir() else ():
        with _naming(f"{RUNS}/{file.name}", left_out):
            run = Run.load(file)
            # Whatever of it is damaged ends here.
            rows([run]), ratio(run, run, resamples=1), hash(_session(run))
            runs.append(run)
    pairs = _paired(artifacts, runs, left_out)
    found = gather(pairs, left_out=left_out, top1_pct=top1_pct)
    if not found.entries:
        raise InputError(f"nothing to report in {folder}: no artifact with a card, and no run")
    return found


def gather(
    pairs: Iterable[tuple[Artifact | None, Sequence[Run]]],
    *,
    left_out: Mapping[str, str],
    top1_pct: Mapping[str, float] | None = None,
) -> Contents:
    """Of artifacts with their runs, in this order; `left_out` grows by what is damaged."""
    pairs, left_out = list(pairs), dict(left_out)
    sessions: dict[tuple[Any, ...], list[Run]] = {}
    for _, runs in pairs:
        for run in runs:
            sessions.setdefault(_session(run), []).append(run)
    measured = {
        id(run): of_run(run, row, number)
        for number, session in enumerate(sessions.values(), 1)
        for run, row in zip(session, rows(session), strict=True)
    }
    entries: list[Entry] = []
    for artifact, runs in pairs:
        mine = [measured[id(run)] for run in runs]
        if artifact is None:
            entries += [Entry(row) for row in mine]
            continue
        with _naming(artifact.path.name, left_out):
            entries += of_artifact(artifact, mine, top1_pct or {})
    known = [entry.row for entry in entries]
    return Contents(
        entries,
        [
            Session(session, [row for row in known if row.get("session") == number])
            for number, session in enumerate(sessions.values(), 1)
        ],
        left_out,
    )


@contextmanager
def _naming(name: str, left_out: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except EdgevitError as e:
        left_out[name] = str(e)
    except Exception as e:  # anything may lie in a folder, and look like ours
        left_out[name] = f"damaged: {type(e).__name__}: {e}"


def _paired(
    artifacts: Sequence[Artifact], runs: Sequence[Run], left_out: dict[str, str]
) -> list[tuple[Artifact | None, list[Run]]]:
    """Each artifact with the runs of its very bytes, then runs of files that are elsewhere."""
    named: dict[str, list[Run]] = {}
    for run in runs:
        named.setdefault(run.context.artifact, []).append(run)
    pairs: list[tuple[Artifact | None, list[Run]]] = []
    for artifact in artifacts:
        name, card = artifact.path.name, artifact.card
        of_name = named.pop(name, [])
        sha256 = card.artifact["sha256"] if card else of_name and digest.of(artifact.path)
        own = [run for run in of_name if run.context.sha256 == sha256]
        if len(own) < len(of_name):
            left_out[f"a run of {name}"] = "it measured another file of that name; profile again"
        if card or own:
            pairs.append((artifact, own))
        else:
            left_out[name] = "it has no card, and no run measured it"
    return pairs + [(None, elsewhere) for elsewhere in named.values()]


def _session(run: Run) -> tuple[Any, ...]:
    return (run.started, *(getattr(run.context, key) for key in LIKE))
