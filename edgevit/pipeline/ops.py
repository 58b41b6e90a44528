"""profile_ops(): where the time of one inference goes, operator by operator."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ..converters.artifact import Artifact
from ..converters.target import check_host
from ..errors import EdgevitError
from ..profiles import peak
from ..profiles.devices import host
from ..profiles.ops.profile import OpProfile, Row
from ..sandbox import TIMEOUT_S, Child


def profile_ops(
    paths: Sequence[Path | str],
    *,
    threads: int = 1,
    runs: int = 30,
    warmup_s: float = 0.5,
    timeout_s: float = TIMEOUT_S,
    watch: Callable[[str, str], None] = lambda what, stage: None,
) -> list[OpProfile | EdgevitError]:
    """For each path, in order, its OpProfile or the error that ended it.

    runs: inferences with the profiler, in turns with as many without. Files without a card will do.
    """
    found: list[OpProfile | EdgevitError] = []
    for path in map(Path, paths):
        watch(path.name, "time its operators")
        try:
            found.append(_profile(path, threads, runs, warmup_s, timeout_s))
            watch(path.name, "done")
        except EdgevitError as e:
            found.append(e)
            watch(path.name, "failed")
    return found


def _profile(path: Path, threads: int, runs: int, warmup_s: float, timeout_s: float) -> OpProfile:
    artifact = Artifact.read(path, card_required=False)
    check_host(artifact.target)
    cores = host.cores_for(threads)
    with peak.probe(threads, cores) as machine, Child(timeout_s=timeout_s) as child:
        child.call("edgevit.profiles.timed:pin", cores=list(cores))
        peaks = [machine.best(), machine.best()]  # neighbours only make it smaller
        taken = child.call(
            "edgevit.profiles.ops.timing:take",
            target=artifact.target,
            file=path,
            threads=threads,
            runs=runs,
            warmup_s=warmup_s,
        )
        peaks += [machine.best(), machine.best()]
    rewrites = artifact.card.rewrites if artifact.card else None
    return OpProfile(
        file=path.name,
        target=artifact.target,
        threads=threads,
        runs=runs,
        peak_macs_per_s=max(peaks),
        applied=(rewrites or {}).get("applied", {}) if artifact.card else None,
        refused=tuple(
            (rule, module, why) for rule, module, why in (rewrites or {}).get("refused", ())
        ),
        **taken | {"rows": tuple(map(Row.from_dict, taken["rows"]))},
    )
