"""Packages with bytes, or fields of their program, changed at random: refused in one line, or run.

Whatever a mutant asks for is asked of a process that may have 64 MiB more than it holds when the
first mutant is opened, 20 000 times the package: were a size believed that a damaged file states,
the allocation would fail. What is tiny in the mutants' origin can be asked for in sizes that are
plausible and large (a pad of a million), and is then refused by the allocator, still in one line;
random bytes hardly ever do so, random fields do now and then, and both are held to a count of that.
"""

import random
import resource
import sys
import time
from collections import Counter
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from mutants import changed_bytes, changed_fields, compressed
from spoiled import model_file, tiny, weights_file

from edgevit.converters.coreml import _make_deterministic
from edgevit.converters.mil.evaluate import Evaluator
from edgevit.errors import ArtifactError

pytestmark = pytest.mark.needs("coremltools")

MORE_BYTES = 64 * 2**20


@pytest.fixture(autouse=True)
def _one_thread():
    """Many threads wait for one another longer than a tiny program takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@contextmanager
def little_memory():
    """Address space of the process, so far as the system has such a limit."""
    if not sys.platform.startswith("linux"):
        yield
        return
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


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
        return "no memory" if "memory" in said else "refused"
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
