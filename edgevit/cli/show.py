"""edgevit show"""

from dataclasses import asdict
from pathlib import Path

import click

from .screen import Screen, screened


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@screened
def command(screen: Screen, path: Path) -> None:
    """Print the card of an artifact: what it is, what was checked, where it runs."""
    from rich.table import Table

    from ..converters.artifact import Artifact

    artifact = Artifact.read(path, rejected=True)
    card = artifact.card
    assert card is not None  # `read` demands one
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def ports(kind: str) -> str:
        return ", ".join(
            f"{p['name']} {p['dtype']} {'×'.join(map(str, p['shape']))}" for p in card.model[kind]
        )

    chosen = {k: v for k, v in card.recipe.items() if v not in (None, False)}
    outside = card.placement.outside if card.placement else {}
    report = card.rewrites or {"applied": {}, "left_alone": None}
    rows = {
        "artifact": f"{path} ({card.artifact['bytes'] / 1e6:.1f} MB)",
        "sha256": card.artifact["sha256"],
        "target": f"{card.target}, {card.executes}",
        "model": f"{card.model['name']}, {card.model['parameters']:,} parameters, "
        f"{card.model['macs']:,} MACs",
        "inputs": ports("inputs"),
        "outputs": ports("outputs"),
        "recipe": ", ".join(f"{k}={v}" for k, v in chosen.items()),
        "weights": card.weights_sha256,
        "preprocess": ", ".join(f"{k} {v}" for k, v in (card.preprocess or {}).items()) or "none",
        "labels": f"{len(card.labels)}: {', '.join(card.labels[:5])} …" if card.labels else "none",
        "agreement": f"{card.agreement}, on {card.agreement.inputs} inputs",
        "rewrites": (report["left_alone"] and f"none: {report['left_alone']}")
        or ", ".join(f"{n} {rule}" for rule, n in report["applied"].items())
        or "none",
        "placement": str(card.placement) if card.placement else "not known",
        "outside": ", ".join(f"{n} {op}" for op, n in outside.items()) or "nothing",
        "tools": ", ".join(f"{k} {v}" for k, v in card.tools.items()),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    screen.show(table)
    screen.json(asdict(card))
