"""edgevit embed"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .choices import read_labels
from .screen import Screen, screened

if TYPE_CHECKING:
    from ..pipeline.embed import Platform


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--android", type=click.Path(path_type=Path), help="A new folder: a Gradle module.")
@click.option("--ios", type=click.Path(path_type=Path), help="A new folder: a Swift package.")
@click.option("--image", type=click.Path(path_type=Path), help="Of the test; else a photograph.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one a line.")
@click.option("--package", help="Of the sources: com.example.vision, or in Swift BirdModel.")
@screened
def command(
    screen: Screen,
    artifact: Path,
    android: Path | None,
    ios: Path | None,
    image: Path | None,
    labels: Path | None,
    package: str | None,
) -> None:
    """Write what an app needs to run ARTIFACT, with a test that it does.

    The artifact, its card, sources that load it, prepare a picture as the card says and return
    labelled scores, and a picture with the five classes that the artifact finds here, in its own
    runtime: the app's test holds it to those, within the card's tolerance.

    \b
    edgevit embed out/efficientmod_xxs.onnx --android app/model --package com.example.vision
    edgevit embed out/efficientmod_xxs.mlpackage --ios BirdModel --package BirdModel
    """
    from ..pipeline.embed import embed
    from ..pipeline.embed_android import Android
    from ..pipeline.embed_ios import IOS

    platform: Platform = IOS() if android is None else Android()
    folder = android or ios
    if folder is None or (android and ios):
        raise click.UsageError("give either --android DIR or --ios DIR")
    made = embed(
        artifact, folder, platform, image=image, labels=read_labels(labels), package=package
    )
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, title="golden.png")
    for heading in ("class", "label", "probability"):
        table.add_column(heading)
    for score in made.golden.top:
        table.add_row(str(score.number), score.label or "–", f"{score.probability:.4f}")
    screen.show(table)
    count = len(made.files)
    screen.show(f"{folder}: {count} files of {made.package}; README.md says how to use them")
    if len(made.golden.first) > 1:
        screen.note(
            f"remark: {' and '.join(made.golden.first)} score within the card's tolerance of each "
            "other, so the test takes each; --image with a clearer picture makes it sharper"
        )
    screen.json(
        {
            "folder": str(made.folder),
            "package": made.package,
            "files": made.files,
            "golden": asdict(made.golden),
        }
    )
