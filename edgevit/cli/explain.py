"""edgevit explain"""

from pathlib import Path
from typing import Any

import click

from ..converters.lint import RULESETS, find, lint
from ..errors import InputError
from .choices import UNCALIBRATED, ModelName
from .screen import Screen, screened

OUTSIDE = 3  # what --strict ends with: the file does not run where it was meant to


@click.command()
@click.argument("artifact", metavar="ARTIFACT|MODEL", type=ModelName())
@click.option("--to", help="Convert MODEL to this target first; nothing is kept.")
@click.option("--for", "rules", metavar="RULES", help=f"Hold it against {', '.join(RULESETS)}.")
@click.option("--precision", type=UNCALIBRATED, default="fp32", help="Of that conversion.")
@click.option("--input-size", type=int, help="Of that conversion: side in pixels.")
@click.option("--html", type=click.Path(path_type=Path), help="Draw the graph on a page.")
@click.option("--strict", is_flag=True, help="Exit code 3 if anything is outside.")
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@screened
def command(
    screen: Screen,
    artifact: str,
    to: str | None,
    rules: str | None,
    precision: str,
    html: Path | None,
    strict: bool,
    timeout: float,
    **recipe: Any,
) -> None:
    """Say what of ARTIFACT runs in the delegate, what does not, why, and what would cure it.

    Reads the file itself: any .pte, .tflite, .onnx or .mlpackage will do, also one without a card.

    With --for: which rules it breaks of an accelerator that is not here, who says so, and what
    would cure it; with --strict exit code 3 where one of those is certain or documented.

    \b
    edgevit explain out/deit_tiny.pte --html graph.html
    edgevit explain deit_tiny --to executorch
    edgevit explain out/deit_tiny.tflite --for litert-gpu@2.1
    """
    from ..converters.explain import check
    from ..converters.explain.picture import write
    from ..pipeline.explain import explain, explain_model
    from ..pipeline.prepared import Limits
    from ..recipe import Recipe
    from .explanations import parts
    from .findings import parts as findings

    limits = Limits(timeout_s=timeout)
    asked = None if rules is None else find(rules)
    if to is not None:
        if Path(artifact).exists() and Path(artifact).suffix != ".py":
            raise InputError(
                f"{artifact} is a file; --to is for a model that is yet to be converted"
            )
        if asked:
            asked.check(to)
        with screen.progress() as watch:
            found = explain_model(
                Recipe(model=artifact, **recipe),
                to=to,
                precision=precision,
                limits=limits,
                watch=watch,
            )
    elif not Path(artifact).suffix and not Path(artifact).exists():
        raise InputError(f"no artifact at {artifact}; --to TARGET converts a model first")
    else:
        if asked:
            asked.check(check(Path(artifact)))
        found = explain(artifact, limits=limits)
    held = lint(found, asked) if asked else None
    if held:
        screen.show(*findings(held, verbose=screen.verbose))
    else:
        screen.show(*parts(found, verbose=screen.verbose))
    screen.json(found.as_dict() | ({"for": held.as_dict()} if held else {}))
    if html:
        write(html, found)
        screen.note(f"page: {html}")
    if strict and (held.broken if held else found.outside):
        screen.error((held or found).summary)
        raise click.exceptions.Exit(OUTSIDE)
