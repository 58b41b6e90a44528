"""`edgevit profile --runner`: a runtime's own runner on a phone, its figures as what they are.

The runners here are shell scripts that stand in for the real ones: they check how they are called,
and print lines in the real ones' form, with figures made up for the test.
"""

import made_by_hand
import pytest

from edgevit.errors import DeviceError, InputError
from edgevit.pipeline import runner as pipeline
from edgevit.profiles.devices import adb
from edgevit.profiles.variant import Item

pytestmark = pytest.mark.needs("adbutils", "setsid")
HOW = {"threads": 2, "runs": 7, "timeout_s": 60}
BENCHMARK_MODEL = """#!/bin/sh
[ "$2 $3" = "--num_threads=2 --num_runs=7" ] || exit 9
[ -s "${1#--graph=}" ] || exit 8
cat <<END
INFO: Initialized session in 119.515ms.
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629
INFO: count=20 first=52162 curr=49785 min=49088 max=68610 avg=5.0e+04 std=607 p5=49620 median=51891

INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inf
END
"""
EXECUTOR_RUNNER = """#!/bin/sh
[ "$2 $3" = "--cpu_threads=2 --num_executions=7" ] || exit 9
[ -s "${1#--model_path=}" ] || exit 8
echo "I 00:00:00.0 executorch] Model executed successfully 7 time(s) in 35.0 ms."
"""


@pytest.fixture
def tool(tmp_path):
    def written(script):
        file = tmp_path / "a runner"
        file.write_text(script)
        return file

    return written


@pytest.fixture(params=["tflite", "executorch"])
def case(request, tmp_path, tool):
    """An item, its runner, and what is read of what it prints."""
    file = tmp_path / f"net with spaces.{request.param}"
    file.write_bytes(b"a model")
    script = {"tflite": BENCHMARK_MODEL, "executorch": EXECUTOR_RUNNER}[request.param]
    return Item(file, request.param, sha256="0"), tool(script)


def test_what_it_prints_is_read_and_all_is_removed(phone, case):
    item, runner = case
    found = adb.run_by("", runner, item, **HOW)
    assert (found.name, found.device, found.threads) == (item.file.name, "Loopback", 2)
    if item.target == "tflite":
        assert found.runs == 20  # the measured ones, not those of the warm-up
        said = (found.mean_s, found.least_s, found.most_s, found.deviation_s)
        assert said == pytest.approx((0.050, 0.049088, 0.06861, 0.000607))
        assert (found.load_s, found.first_s) == pytest.approx((0.119515, 0.087112))
    else:
        assert (found.runs, found.mean_s) == (7, pytest.approx(0.005))
        assert found.least_s is found.load_s is None
    assert phone.left_over == []


def test_a_runner_that_fails_says_why(phone, tool, tmp_path):
    item = Item(made_by_hand.onnx(tmp_path / "tiny.onnx"), "tflite")
    broken = tool("#!/bin/sh\necho not executable: 64-bit ELF file >&2\nexit 126\n")
    words = "ended with 126 on .* and said 'not executable: 64-bit ELF file'; is it built for"
    with pytest.raises(DeviceError, match=words):
        adb.run_by("", broken, item, **HOW)
    silent = tool("#!/bin/sh\nexit 0\n")
    with pytest.raises(DeviceError, match=r"ended with 0 on .* and said 'nothing'"):
        adb.run_by("", silent, item, **HOW)
    with pytest.raises(InputError, match="there are runners for tflite and executorch, not for o"):
        adb.run_by("", silent, Item(item.file, "onnx"), **HOW)
    with pytest.raises(InputError, match="no runner at "):
        adb.run_by("", tmp_path / "none", item, **HOW)
    with pytest.raises(InputError, match="a runner runs on a phone: give --device adb:SERIAL"):
        pipeline.printed([item.file], silent, on="host")
    assert phone.left_over == []


@pytest.mark.needs("ai_edge_litert", "flatbuffers")
def test_the_command_says_what_the_figures_are_not(phone, tool, tmp_path, capfd):
    from edgevit.cli import main

    file = made_by_hand.tflite(tmp_path / "tiny.tflite")
    how = ("--device", "adb:", "--runner", str(tool(BENCHMARK_MODEL)), "--threads", "2")
    with pytest.raises(SystemExit) as ended:
        main(["profile", str(file), *how, "--rounds", "7", "-q"])
    out, err = capfd.readouterr()
    assert (ended.value.code, err, phone.left_over) == (0, "", [])
    assert "no ratio with an interval can be made of these" in " ".join(out.split())
    (row,) = (line.split() for line in out.splitlines() if line.startswith("tiny.tflite"))
    assert row == [
        "tiny.tflite",
        "20",
        "50",
        "49.09",
        "68.61",
        "0.607",
        "87.11",
        "119.5",
        "Loopback",
    ]
