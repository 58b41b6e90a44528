"""A line of a report: what a card and a run say of one artifact, as plain values.

Each value is made what it should be, a number or words, so that a damaged card fails here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit import digest
from edgevit.converters.artifact import Artifact
from edgevit.converters.card import Card
from edgevit.converters.card_in_words import in_words
from edgevit.converters.explain.reasons import executorch_cures, tflite_cures
from edgevit.converters.verify import OutputAgreement
from edgevit.profiles.run import Run


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


def of_run(run: Run, row: Mapping[str, Any], session: int) -> dict[str, Any]:
    """`row`: of `table.rows`; times in ms."""
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


def of_artifact(
    artifact: Artifact, runs: Sequence[Mapping[str, Any]], top1_pct: Mapping[str, float]
) -> list[Entry]:
    """One entry per run, or one alone; `runs`: of `of_run`."""
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


def _numbers(output: OutputAgreement) -> dict[str, float | None]:
    """An SNR without any noise is infinite."""
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
        plain = op.rpartition("::")[2]  # without ExecuTorch's namespace
        cures = executorch_cures(plain) or tflite_cures(plain)
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
