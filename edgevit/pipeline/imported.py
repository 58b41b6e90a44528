"""What another tool measured, as a run of an artifact of ours."""

from pathlib import Path

from .. import digest
from ..converters.artifact import Artifact
from ..errors import InputError
from ..profiles.run import Run
from ..profiles.xcode_report import XcodeReport


def xcode_run(report: XcodeReport, artifact: Path | None = None) -> Run:
    """The report's run; InputError where `artifact` is not the package it names."""
    if artifact is None:
        return report.run()
    found = Artifact.read(artifact, card_required=False)
    if found.path.stem != report.model:
        raise InputError(
            f"the report is of {report.model}, not of {artifact}; give the package that was "
            "measured, or leave --artifact out"
        )
    precision = found.card.precision if found.card else "unknown"
    return report.run(found.path.name, sha256=digest.of(found.path), precision=precision)
