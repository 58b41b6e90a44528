"""An Android phone through the app on it, which measures and runs what it is sent.

    files/artifacts/SHA256.suffix    the artifacts, see adb_push
    files/jobs/TOKEN/                job.json in, progress.txt meanwhile, result.json out

The app is started anew for each job, so that no earlier one is in its memory, and asked once a
second how far it is: a command on the phone costs it time. What answers is the app's result,
which the Activity writes under another name first.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from edgevit.converters.card import Card, card_of
from edgevit.errors import DeviceError, EdgevitError, InputError

from ..bench import SUSTAINED_S
from ..run import Run
from ..variant import Item, measured
from .adb_job import PACKAGE, Job
from .adb_link import Link
from .adb_push import SUFFIXES, Shelf
from .adb_result import outputs, runs

FILES = f"/sdcard/Android/data/{PACKAGE}/files"
Progress = Callable[[str, int, int], None]


class Phone:
    """See `device.Remote`."""

    def __init__(self, link: Link) -> None:
        self._link, self._shelf = link, Shelf(link, FILES)

    def profile(
        self,
        items: Sequence[Item],
        *,
        threads: int = 1,
        rounds: int = 30,
        warmup_s: float = 0.5,
        block_s: float = 0.02,
        seed: int = 0,
        timeout_s: float = 600.0,
        device: str = "",
        control: bool = True,
        cooldown_s: float = 0.0,
        minutes: float = 0.0,
        on_progress: Progress = lambda what, done, total: None,
    ) -> list[Run | EdgevitError]:
        """timeout_s: for how long the app may say nothing new. The others: see `bench.profile`."""
        settings = {"threads": threads, "rounds": rounds, "warmup_s": warmup_s, "seed": seed}
        settings |= {"control": control, "cooldown_s": cooldown_s, "minutes": minutes}
        settings["block_s"] = max(block_s, SUSTAINED_S) if minutes else block_s

        def in_the_app(taken: list[Item]) -> list[Run | EdgevitError]:
            labels = {self._shelf.name(item).partition("/")[2]: item.label for item in taken}

            def tell(what: str, done: int, total: int) -> None:
                for name, label in labels.items():
                    what = what.replace(name, label)
                on_progress(what, done, total)

            with self._job("profile", taken, {}, **settings) as job:
                result = job.wait(timeout_s, tell, rounds)
            serial = self._link.serial
            return runs(result, taken, serial=serial, threads=threads, device=device)

        return measured(items, _for_the_app, in_the_app)

    @contextmanager
    def open(self, item: Item, *, threads: int, timeout_s: float) -> "Iterator[Opened]":
        yield Opened(self, _for_the_app(item), threads, timeout_s)

    def close(self) -> None:
        with suppress(DeviceError):  # gone, which was said already; the next session removes it
            self._shelf.clear()

    @contextmanager
    def _job(
        self, kind: str, items: Sequence[Item], inputs: dict[str, bytes], **settings: Any
    ) -> Iterator[Job]:
        """A job that runs; its folder is removed at the end."""
        job = Job(self._link, FILES, secrets.token_hex(8))
        job.check()
        try:
            self._shelf.sweep(job.folder)
            names = self._shelf.put(items)
            listed = [
                {"file": name, "target": item.target, "delegate": "cpu"}
                for name, item in zip(names, items, strict=True)
            ]
            job.start({"job": kind, "items": listed, **settings}, inputs)
            yield job
        finally:
            with suppress(DeviceError):  # gone, which was said; or a result is here already
                job.stop()


class Opened:
    """An artifact that the app loads and runs, once for each call."""

    def __init__(self, phone: Phone, item: Item, threads: int, timeout_s: float) -> None:
        self._phone, self._item = phone, item
        self._threads, self._timeout_s = threads, timeout_s
        card = Card.read(card_of(item.file)) if card_of(item.file).exists() else None
        self._dtypes = [np.dtype(port["dtype"]) for port in card.model["inputs"]] if card else []

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (outputs,) = self.together([arrays])
        return outputs

    def together(self, rows: Sequence[Sequence[np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
        """The outputs for each row of inputs, with one start of the app for all."""
        inputs = {
            f"input-{row}-{i}.bin": self._bytes(i, array)
            for row, arrays in enumerate(rows)
            for i, array in enumerate(arrays)
        }
        phone, settings = self._phone, {"threads": self._threads, "rows": len(rows)}
        with phone._job("run", [self._item], inputs, **settings) as job:
            result, serial = job.wait(self._timeout_s), phone._link.serial
            return outputs(result, self._item.label, serial=serial, pull=job.pull)

    def _bytes(self, number: int, array: np.ndarray) -> bytes:
        """As the file declares the input: floats are cast, little-endian, in C order."""
        given = np.asarray(array)
        if self._dtypes and given.dtype.kind == "f":
            given = given.astype(self._dtypes[number])
        return given.astype(given.dtype.newbyteorder("<")).tobytes()


def _for_the_app(item: Item) -> Item:
    if item.target in SUFFIXES:
        return item
    raise InputError(f"{item.label}: the app runs {', '.join(SUFFIXES)}, not {item.target}")
