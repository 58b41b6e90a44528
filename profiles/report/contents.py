"""What a report is made of: artifacts with their cards, and the runs that measured them.

A run belongs to the artifact of its SHA-256. Whatever is damaged is found here, because everything
a report shows is computed here, and is named among what was left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import digest
from edgevit.converters.artifact import ASIDE, Artifact
from edgevit.converters.card import SUFFIX, Card
from edgevit.converters.card_in_words import in_words
from edgevit.converters.explain.reasons import executorch_cures, tflite_cures
from edgevit.converters.target import TARGETS, find
from edgevit.errors import ArtifactError, EdgevitError, InputError
from edgevit.profiles.run import LIKE, Run

from .table import rows

RUNS = "runs"  # the folder of runs in the folder of artifacts


@dataclass(frozen=True)
class Entry:
    """A line of the report: an artifact with one of its runs, or either alone.

    row: by key what the main table says and what it derives from; no key or None for what nobody
    knows. outputs: the agreement of each. outside: kinds of operators outside the delegate. words:
    the card. The last three stand at an artifact's first entry only.
    """

    row: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]] = ()
    outside: Sequence[Mapping[str, Any]] = ()
    words: Mapping[str, str] | None = None


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
            rows([run]), hash(_session(run))  # whatever of it is damaged ends here
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
        id(run): _of_run(run, row, number)
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
            entries += _entries(artifact, mine, top1_pct or {})
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


def _of_run(run: Run, row: Mapping[str, Any], session: int) -> dict[str, Any]:
    p10, p90 = np.percentile(run.samples_s * 1e3, (10, 90))
    of_base = "1 (base)" if row["speed"] is None and not row["not_comparable"] else "–"
    return {
        **row,
        "session": session,
        "threads": run.context.threads,
        "range_ms": f"{p10:.4g}–{p90:.4g}",
        "p10_ms": float(p10),
        "p90_ms": float(p90),
        "speed_text": row["speed_text"] if row["speed"] else of_base,
    }


def _entries(
    artifact: Artifact, runs: Sequence[Mapping[str, Any]], top1_pct: Mapping[str, float]
) -> list[Entry]:
    card = artifact.card
    known = {
        "artifact": runs[0]["artifact"] if runs else artifact.path.name,
        "target": artifact.target,
        "size_mb": digest.size_bytes(artifact.path) / 1e6,
        **(_of_card(card) if card else {}),
    }
    known["paper_top1_pct"] = top1_pct.get(known.get("model", ""))
    first, *others = [Entry({**run, **known}) for run in runs or ({},)]
    if card:
        name = first.row["artifact"]
        first = Entry(first.row, _outputs(name, card), _outside(name, card), in_words(card))
    return [first, *others]


def _of_card(card: Card) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": str(card.model["name"]),
        "precision": card.precision,
        "placement": str(card.placement) if card.placement else None,
        "agreement": str(card.agreement.status),
    }
    worst = card.agreement.worst
    return {**found, **(_numbers(worst) if worst else {})}


def _numbers(output: Any) -> dict[str, float | None]:
    """Of an OutputAgreement; an SNR without any noise is infinite."""
    return {
        "max_error": float(output.max_abs_error),
        "allowed": float(output.tolerance),
        "eager_error": float(output.eager_error),
        "snr_db": float("inf") if output.snr_db is None else float(output.snr_db),
        "cosine": float(output.cosine),
        "top1_kept_pct": None if output.top1 is None else 100 * float(output.top1),
    }


def _outputs(name: str, card: Card) -> list[dict[str, Any]]:
    return [
        {"artifact": name, "output": str(o.name), "fault": o.fault or None, **_numbers(o)}
        for o in card.agreement.outputs
    ]


def _outside(name: str, card: Card) -> list[dict[str, Any]]:
    """Kinds of operators outside, the rewrites that would cure them, and why those did not."""
    if card.placement is None or card.placement.delegate is None:
        return []
    refused = card.rewrites["refused"] if card.rewrites else []
    found = []
    for op, count in card.placement.outside.items():
        cures = executorch_cures(op) or tflite_cures(op)
        why = dict.fromkeys(str(why) for rule, _, why in refused if rule in cures)
        found.append(
            {
                "artifact": name,
                "operator": str(op),
                "count": int(count),
                "cures": " or ".join(cures) or "none known",
                "left_alone": "; ".join(why) or None,
            }
        )
    return found
