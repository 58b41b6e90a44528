"""What the graph rewrites bring: each model converted with and without, timed in one run.

    python benchmarks/rewrites.py efficientmod_xxs deit_tiny --to executorch,tflite

Prints, per model and target, the partitions before and after and the ratio of the latencies with
its interval: above 1 the rewritten file is faster. Both run interleaved, with one thread.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from edgevit import Recipe, convert, profile
from edgevit.profiles.compare import ratio


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--to", default="executorch,tflite", show_default=True)
@click.option("--rounds", default=30, show_default=True)
def main(models: tuple[str, ...], to: str, rounds: int) -> None:
    """Time each of MODELS with and without rewrites."""
    table = Table("model", "target", "without", "with", "faster", "95 % interval", box=None)
    failed = False
    for model in models:
        with TemporaryDirectory() as folder:
            made = {
                form: convert(
                    Recipe(model, rewrites=rewrites), to=to.split(","), out=Path(folder) / form
                )
                for form, rewrites in (("without", ()), ("with", None))
            }
            for plain, ours in zip(made["without"], made["with"], strict=True):
                if not plain.artifact or not ours.artifact:
                    click.echo(plain.error or ours.error, err=True)
                    failed = True
                    continue
                artifacts = [plain.artifact, ours.artifact]
                runs = profile([a.path for a in artifacts], threads=1, rounds=rounds)
                found = ratio(runs[0], runs[1])
                places = [str(a.card.placement) for a in artifacts if a.card]
                table.add_row(
                    model,
                    plain.job.target,
                    *places,
                    f"{found.value:.2f}×",
                    f"[{found.low:.2f}, {found.high:.2f}]",
                )
    Console(width=110).print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
