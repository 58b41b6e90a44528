"""Tables of conversions and agreements."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..converters.card_in_words import rounding
from ..recipe import per_layer

if TYPE_CHECKING:
    from ..converters.artifact import Artifact
    from ..converters.rewrites.choice import Costs
    from ..converters.verify import Agreement
    from ..pipeline.convert import Outcome

Row = tuple[Path, "Artifact | None", "Agreement | None"]


def conversions(outcomes: Sequence["Outcome"], *, verbose: bool) -> list[Table | Text]:
    """One row per file made or found, under a line on the model; see `agreements`."""
    made = [o for o in outcomes if o.artifact and o.artifact.card]
    if not made:
        return []
    rows: list[Row] = [
        (o.artifact.path, o.artifact, o.artifact.card.agreement)
        for o in made
        if o.artifact and o.artifact.card
    ]
    parts = agreements(rows, verbose=verbose)
    card = rows[0][1].card if rows[0][1] else None
    counts = card.model.get("merged") if card else None
    asked = card.recipe["tome"] if card and counts else 0
    if counts and counts != per_layer(asked, len(counts)):
        said = ", ".join(map(str, counts))
        parts.append(Text(f"fewer tokens merge where too few are left: {said}, block by block"))
    unchanged = sum(o.unchanged for o in made)
    if unchanged:
        said = "all files are" if unchanged == len(outcomes) else f"{unchanged} files were"
        parts.append(Text(f"{said} up to date: nothing that decides them has changed", "dim"))
    return parts


def table_of(*columns: tuple[str, str, int]) -> Table:
    """Of (heading, justify, ratio); ratio 0 keeps a column on one line."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_edge=False)
    for name, justify, ratio in columns:
        table.add_column(
            name,
            justify=justify,  # type: ignore[arg-type]
            no_wrap=not ratio,
            ratio=ratio or None,
            overflow="fold",
        )
    return table


def agreements(rows: Iterable[Row], *, verbose: bool) -> list[Table | Text]:
    """Path, size, placement, and how each artifact agrees with the float64 model.

    verbose: below, for each, what the runtime executes, the operators outside the delegate, and
    every output instead of the worst.
    """
    rows = [row for row in rows if row[1] and row[1].card and row[2]]
    if not rows:
        return []
    table = table_of(
        ("artifact", "left", 1),
        ("MB", "right", 0),
        ("placement", "left", 0),
        ("max error", "right", 0),
        ("allowed", "right", 0),
        ("SNR dB", "right", 0),
        ("top-1", "right", 0),
        ("against float64", "left", 0),
    )
    for path, artifact, agreed in rows:
        card = artifact.card if artifact else None
        assert card is not None
        assert agreed is not None  # both filtered above
        worst = agreed.worst
        numbers = ["–"] * 4
        if worst:
            numbers = [
                f"{worst.max_abs_error:.1e}",
                f"{worst.tolerance:.1e}",
                "∞" if worst.snr_db is None else f"{worst.snr_db:.0f}",
                "–" if worst.top1 is None else f"{worst.top1:.0%}",
            ]
        styles = {"agrees": "green", "rejected": "red"}
        table.add_row(
            path.name,
            f"{card.artifact['bytes'] / 1e6:.1f}",
            str(card.placement) if card.placement else "–",
            *numbers,
            Text(agreed.status, styles.get(agreed.status, "yellow")),
        )
    card = rows[0][1].card if rows[0][1] else None
    assert card is not None
    shapes = ", ".join("×".join(map(str, p["shape"])) for p in card.model["inputs"])
    model = f"{card.model['name']}: {card.model['parameters'] / 1e6:.3f} M parameters, "
    model += f"{card.model['macs'] / 1e9:.3f} GMAC, input {shapes}"
    folders = ", ".join(sorted({f"{path.parent}/" for path, _, _ in rows}))
    details = [Text(line, "dim") for row in rows for line in _details(row)] if verbose else []
    return [Text(f"{model}, in {folders}", "bold"), table, *details]


def costs(found: "Costs") -> Table:
    """Rule by rule, how many times as fast its form is, and whether it will be used."""
    table = table_of(
        ("rewrite", "left", 1),
        ("times as fast", "right", 1),
        ("95 % interval", "left", 1),
        ("used", "left", 1),
    )
    for rule, (value, low, high) in found.speed.items():
        used = found.pays(rule)
        row = (f"{value:.2f}×", f"[{low:.2f}, {high:.2f}]", Text("yes" if used else "no"))
        table.add_row(rule, *row, style=None if used else "dim")
    return table


def _details(row: Row) -> list[str]:
    path, artifact, agreed = row
    assert artifact is not None
    assert artifact.card is not None
    assert agreed is not None  # all filtered by the caller
    placement = artifact.card.placement
    outside = placement.outside.items() if placement else ()
    return [
        f"{path.name}: {artifact.card.executes}",
        *_rewrites(artifact.card.rewrites),
        *(f"  outside the delegate: {count} {op}" for op, count in outside),
        *(
            f"  {o.name}: error {o.max_abs_error:.2e}, torch's own {o.eager_error:.2e}, allowed "
            f"{o.tolerance:.2e}, cosine {o.cosine:.9f}"
            for o in agreed.outputs
        ),
    ]


def _rewrites(report: dict[str, Any] | None) -> list[str]:
    """What was done to the graph, rule by rule, and what was left alone and why."""
    if report is None:
        return []
    said = [f"  {count} × {rule}" for rule, count in report["applied"].items()]
    said += [
        f"  {rule} left {path or 'the model'} alone: {why}" for rule, path, why in report["refused"]
    ]
    if report.get("equalized"):
        said.append(f"  {report['equalized']} tensors equalized, channel by channel")
    said += [f"  {n} tensors clipped, {by}" for by, n in report.get("clipped", {}).items()]
    if report.get("rounded"):
        said.append(f"  weights rounded {rounding(report['rounded'])}")
    return [*said, f"  not rewritten: {report['left_alone']}"] if report["left_alone"] else said
