"""Packages with bytes, or fields of their program, changed at random: refused in one line, or run.

All mutants run in this process, which may have 64 MiB more than it holds before the first: a size
that a damaged file states is not believed, or its allocation would fail. One case remains, in which
the allocator is the one to refuse, still in one line: an attribute that is plausible and large (a
pad of a million), whose result is compared with the declared shape only once it is there. Random
fields have such mutants now and then, random bytes have none, and both are held to that.
"""

import random
import re
import time
from collections import Counter
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from mutants import changed_bytes, changed_fields, compressed, little_memory
from spoiled import model_file, tiny, weights_file

from edgevit.converters.coreml import _make_deterministic
from edgevit.converters.mil.evaluate import Evaluator
from edgevit.errors import ArtifactError

pytestmark = pytest.mark.needs("coremltools")


@pytest.fixture(autouse=True)
def _one_thread():
    """Many threads wait for one another longer than a tiny program takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def written(file: Path, data: bytes) -> None:
    """In place: file systems take their time over a file that was emptied first."""
    with file.open("r+b") as f:
        f.write(data)
        f.truncate()


def outcome(package) -> str:
    try:
        loaded = Evaluator(package)
        if sum(prod(p.shape) for p in loaded.inputs) > 2**20:
            return "large inputs"  # whose arrays are the caller's
        loaded(*[np.ones(p.shape, p.dtype) for p in loaded.inputs])
    except ArtifactError as e:
        said = str(e)
        assert said.isprintable(), repr(said)
        return "no memory" if re.search("memory|allocate", said, re.IGNORECASE) else "refused"
    return "run"


def outcomes(package, count, seed, change, files) -> Counter:
    """What became of so many mutants, each of which has one of the files changed."""
    _make_deterministic(package)
    originals = [file.read_bytes() for file in files]
    rng = random.Random(seed)
    assert outcome(package) == "run"
    found, longest = Counter(), 0.0
    with little_memory():
        for _ in range(count):
            i = rng.randrange(len(files))
            written(files[i], change(originals[i], rng))
            start = time.perf_counter()
            found[outcome(package)] += 1
            longest = max(longest, time.perf_counter() - start)
            written(files[i], originals[i])
    assert longest < 10, "seconds that one mutant took"
    return found


@pytest.mark.parametrize(("make", "seed"), [(tiny, 0), (compressed, 1)])
def test_bytes_changed_at_random(tmp_path, make, seed):
    package = make(tmp_path)
    files = [package / "Manifest.json", model_file(package), weights_file(package)]
    found = outcomes(package, 10_000, seed, changed_bytes, files)
    assert found["refused"] > 4000
    assert found["run"] > 500, "a test whose mutants never run sees little of the evaluator"
    assert found["no memory"] == 0


@pytest.mark.parametrize(("make", "seed"), [(tiny, 0), (compressed, 1)])
def test_fields_changed_at_random(tmp_path, make, seed):
    package = make(tmp_path)
    found = outcomes(package, 2000, seed, changed_fields, [model_file(package)])
    assert found["refused"] > 800
    assert found["run"] > 200
    assert found["no memory"] < 40
