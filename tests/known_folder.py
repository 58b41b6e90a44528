"""A folder as `edgevit convert` and `edgevit profile` leave it, without either."""

import hashlib

from known_card import card
from known_runs import quiet

from edgevit.converters.card import card_of
from edgevit.converters.target import TARGETS, find

TARGET_OF = {find(name).suffix: name for name in TARGETS}


def add(folder, name, *, seconds=None, run=None, **changes):
    """An artifact with its card, and a run around `seconds`; run, changes: of their fields."""
    file, content = folder / name, name.encode()
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    about = {"file": name, "sha256": sha256, "bytes": len(content)}
    target = TARGET_OF[file.suffix]
    card(artifact=about, **{"target": target} | changes).write(card_of(file))
    if seconds:
        settings = {"name": name, "artifact": name, "sha256": sha256, **(run or {})}
        quiet(seconds, **settings).save(folder / "runs")
    return file


def filled(folder):
    """Three artifacts of two sessions, one without a run."""
    add(folder, "a.onnx", seconds=0.010)
    add(folder, "b.pte", seconds=0.008, run={"seed": 1, "noise": 0.1})
    add(folder, "c.tflite", seconds=0.004, run={"threads": 2, "cores_used": 2.0})
    add(folder, "d.onnx")
    return folder
