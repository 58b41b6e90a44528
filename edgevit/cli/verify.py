"""edgevit verify"""

from dataclasses import asdict
from pathlib import Path

import click

from .choices import DEVICE, artifacts_among
from .screen import Screen, screened


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--timeout", type=float, default=600, show_default=True, help="Seconds per step.")
@click.option("--locate", is_flag=True, help="Find the module where a rejected one goes wrong.")
@click.option("--both", is_flag=True, help="Core ML files also in our evaluator; needs a Mac.")
@click.option("--device", default="host", show_default=True, help=DEVICE)
@screened
def command(
    screen: Screen,
    paths: tuple[Path, ...],
    timeout: float,
    locate: bool,
    both: bool,
    device: str,
) -> None:
    """Run each artifact in its own runtime and hold it against the float64 model of its card.

    With --device: the numbers that the runtime there computes.
    """
    from ..pipeline.convert import Limits
    from ..pipeline.verify import verify
    from .tables import agreements

    with screen.progress() as watch:
        verdicts = verify(
            artifacts_among(paths, rejected=True),
            locate=locate,
            both=both,
            on=device,
            limits=Limits(timeout_s=timeout),
            watch=lambda path, stage: watch(path.name, stage),
        )
    judged = [
        (Path(f"{v.path}, evaluated") if v.evaluated else v.path, v.artifact, v.agreement)
        for v in verdicts
    ]
    screen.show(*agreements(judged, verbose=screen.verbose))
    screen.json(
        [
            {
                "path": str(v.path),
                "evaluated": v.evaluated,
                "agreement": asdict(v.agreement) if v.agreement else None,
                "error": str(v.error) if v.error else None,
                "location": asdict(v.location) if v.location else None,
            }
            for v in verdicts
        ]
    )
    screen.end([v.error for v in verdicts if v.error])
