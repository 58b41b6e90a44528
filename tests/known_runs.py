"""Runs of known truth, for the tests of this folder."""

from dataclasses import replace

import numpy as np

from edgevit.profiles.run import Context, Run

CONTEXT = Context(
    device="board",
    host="unit 1",
    os="Linux 6.1",
    cpu="Example CPU",
    family="6/1/1",
    flags=("avx2", "f16c"),
    cores=8,
    threads=1,
    runtime="onnxruntime",
    runtime_version="1.24.0",
    artifact="m.onnx",
    sha256="0123456789abcdef",
    precision="fp32",
    placement="1 partition + 87 ops",
)


def make_run(rounds_s, *, name="m", cores_used=1.0, macs=None, bracket=(), **context):
    return Run(
        name=name,
        context=replace(CONTEXT, **context),
        rounds_s=tuple(tuple(float(s) for s in block) for block in rounds_s),
        warmups_s=(0.02, 0.011),
        load_s=0.1,
        first_run_s=0.03,
        peak_memory_bytes=12_000_000,
        cores_used=cores_used,
        macs=macs,
        bracket_macs_per_s=bracket,
        started="2026-01-01T00:00:00+00:00",
    )


def quiet(seconds=0.010, *, rounds=30, samples=4, noise=0.002, seed=0, **more):
    """A sound run around `seconds`, with `noise` relative standard deviation."""
    rng = np.random.default_rng(seed)
    return make_run(seconds * (1 + noise * rng.standard_normal((rounds, samples))), **more)
