"""A card in words: what `edgevit show` and the report tell of an artifact."""

from typing import Any

from .card import Card


def in_words(card: Card) -> dict[str, str]:
    """What is said → the words, in the order they are read."""
    chosen = {k: v for k, v in card.recipe.items() if v not in (None, False)}
    outside = card.placement.outside if card.placement else {}
    merged = card.model.get("merged")
    report = card.rewrites or {"applied": {}, "left_alone": None}
    return {
        "size": f"{card.artifact['bytes'] / 1e6:.1f} MB",
        **({"stored": _shares(bits)} if (bits := card.artifact.get("bits")) else {}),
        **_rounding(card, report),
        "sha256": str(card.artifact["sha256"]),
        "target": f"{card.target}, {card.executes}",
        "model": f"{card.model['name']}, {card.model['parameters']:,} parameters, "
        f"{card.model['macs']:,} MACs",
        **({"merged": f"{', '.join(map(str, merged))} tokens, block by block"} if merged else {}),
        **{k: card.model[k] for k in ("norms", "tuned") if k in card.model},
        "inputs": _ports(card.model["inputs"]),
        "outputs": _ports(card.model["outputs"]),
        "recipe": ", ".join(f"{k}={v}" for k, v in chosen.items()),
        "weights": str(card.weights_sha256),
        "preprocess": ", ".join(f"{k} {v}" for k, v in (card.preprocess or {}).items()) or "none",
        "labels": f"{len(card.labels)}: {', '.join(card.labels[:5])} …" if card.labels else "none",
        "agreement": f"{card.agreement}, on {card.agreement.inputs} inputs",
        "rewrites": (report["left_alone"] and f"none: {report['left_alone']}")
        or ", ".join(f"{n} {rule}" for rule, n in report["applied"].items())
        or "none",
        **({"clipped": _clipped(counts)} if (counts := report.get("clipped")) else {}),
        "placement": str(card.placement) if card.placement else "not known",
        "outside": ", ".join(f"{n} {op}" for op, n in outside.items()) or "nothing",
        "tools": ", ".join(f"{k} {v}" for k, v in card.tools.items()),
    }


def _clipped(counts: dict[str, int]) -> str:
    """ "tensors to ranges chosen by OCTAV 5, entropy 1"."""
    return "tensors to ranges chosen by " + ", ".join(f"{by} {n}" for by, n in counts.items())


def _rounding(card: Card, report: dict[str, Any]) -> dict[str, str]:
    """How weights in few bits were rounded."""
    if done := report.get("rounded"):
        return {"rounded": rounding(done)}
    return {"rounded": "to the nearest"} if "bits" in card.artifact else {}


def rounding(done: dict[str, int]) -> str:
    """ "by the calibration: 840 of 1000 channels of 12 layers by GPTQ; 11 biases corrected"."""
    return (
        f"by the calibration: {done['by_gptq']} of {done['channels']} channels of "
        f"{done['layers']} layers by GPTQ, the others to the nearest; {done['biases']} biases "
        "corrected"
    )


def _shares(bits: dict[str, int]) -> str:
    """ "of its numbers 5.2% in 32 bits, 94.8% in 8 bits"."""
    whole = sum(bits.values())
    return "of its numbers " + ", ".join(f"{n / whole:.1%} in {b} bits" for b, n in bits.items())


def _ports(ports: list[dict[str, Any]]) -> str:
    return ", ".join(f"{p['name']} {p['dtype']} {'×'.join(map(str, p['shape']))}" for p in ports)
