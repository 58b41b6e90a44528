"""profile(): artifacts measured side by side, with what their cards say of placement and MACs."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from .. import digest, sandbox
from ..converters.artifact import Artifact
from ..converters.target import Placement, check_host
from ..errors import EdgevitError
from ..profiles import bench
from ..profiles.devices.device import connect
from ..profiles.run import Run
from ..profiles.variant import Item, measured


def profile(
    paths: Sequence[Path | str], *, on: str = "host", **settings: Any
) -> list[Run | EdgevitError]:
    """For each path, in order, its Run or the error that ended it; settings: see `bench`.

    on: the device, see `profiles.devices.device`.
    """

    def read(path: Path | str) -> Item:
        return item_of(Artifact.read(Path(path), card_required=False))

    def there(items: list[Item]) -> list[Run | EdgevitError]:
        with closing(connect(on)) as device:
            return device.profile(items, **settings)

    return measured(paths, read, there)


def profile_each(
    paths: Sequence[Path | str],
    devices: Sequence[str],
    *,
    on_progress: Callable[[str, str, int, int], None],
    **settings: Any,
) -> dict[str, list[Run | EdgevitError]]:
    """`profile` on several devices at once; one that cannot be reached has its error alone.

    on_progress: told the device first.
    """

    stopped = threading.Event()

    def of(device: str) -> list[Run | EdgevitError]:
        def tell(what: str, done: int, total: int) -> None:
            if stopped.is_set():
                raise KeyboardInterrupt
            on_progress(device, what, done, total)

        return profile(paths, on=device, on_progress=tell, **settings)

    def others_go_on(device: str) -> list[Run | EdgevitError]:
        try:
            return of(device)
        except EdgevitError as e:
            return [type(e)(f"{device}: {e}")]

    if len(devices) == 1:
        return {device: of(device) for device in devices}
    with ThreadPoolExecutor(len(devices)) as pool:
        try:
            return dict(zip(devices, pool.map(others_go_on, devices), strict=True))
        except BaseException:  # Ctrl-C: each ends at its next step, and takes back what it pushed
            stopped.set()
            raise


def session(
    items: Sequence[Item], *, job: str, watch: Callable[[str, str], None], **settings: Any
) -> list[Run | EdgevitError]:
    """`bench.profile`, whose progress `watch` is told as that of `job`; settings: see there."""
    found = bench.profile(
        items, on_progress=lambda what, done, of: watch(job, f"{what}, {done} of {of}"), **settings
    )
    watch(job, "done")
    return found


def item_of(artifact: Artifact) -> Item:
    """What to measure; a file without a card is asked for its placement, in a child."""
    check_host(artifact.target)
    path, card = artifact.path, artifact.card
    if card is not None:
        placement, macs, precision = card.placement, card.model["macs"], card.precision
        sha256 = card.artifact["sha256"]  # which `Artifact.read` has checked
    else:
        read = sandbox.run(
            "edgevit.converters.lowering:placement", target=artifact.target, file=path
        )
        placement, macs, precision = read and Placement(**read), None, "unknown"
        sha256 = digest.of(path)
    return Item(
        file=path,
        target=artifact.target,
        sha256=sha256,
        precision=precision,
        macs=macs,
        placement=str(placement) if placement else "–",
    )
