"""The whole loop, with real children, beside a program that keeps the other cores busy."""

import pytest

from benchmarks.noise import convolutions, neighbour, session


@pytest.mark.slow
@pytest.mark.needs("onnx", "onnxruntime")
def test_a_tenth_more_work_is_found_beside_a_busy_process(tmp_path):
    files = [convolutions(count, tmp_path / f"{count}.onnx") for count in (30, 33)]
    with neighbour(busy=True):
        three = sorted((session(files, rounds=20, seed=n) for n in range(3)), key=lambda r: r.value)
    found = three[1]  # beside other tests as well, one session found 0.68
    assert found.verdict == "slower"
    assert 0.85 < found.value < 0.97
