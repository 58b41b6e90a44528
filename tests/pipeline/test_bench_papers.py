"""A paper's table measured for real, of three tiny nets of timm's own tests."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from edgevit.cli.papers import efficientmod
from edgevit.converters.onnx import Onnx
from edgevit.errors import EdgevitError, MissingRuntime, UnknownName
from edgevit.pipeline import bench as pipeline
from edgevit.profiles.reproduce import Reproduced
from edgevit.profiles.run import Run
from edgevit.profiles.tables import Table

NETS = ("test_efficientnet", "test_resnet", "test_absent")
TABLE = Table(
    "tiny",
    title="three rows",
    columns={},
    protocol="",
    source="",
    baseline="E",
    rows=tuple(
        {"row": row, "model": net, "cpu_ms": ms, "gpu_ms": ms, "top1_pct": "60"}
        for row, net, ms in zip("ERX", NETS, ("1.0", "2.0", "3.0"), strict=True)
    ),
)


def bench(out, **settings):
    told = []
    rows = list(
        pipeline.bench("tiny", out=out, rounds=5, watch=lambda *what: told.append(what), **settings)
    )
    return rows, [stage for _, stage in told]


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_rows_come_out_and_a_stopped_bench_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "load", lambda name: TABLE)
    (first,), told = bench(tmp_path, rows=["E"])
    assert told.count("measure") == 1
    rows, told = bench(tmp_path)
    assert told.count("measure") == 1  # E is known
    assert [row.row for row in rows[:2]] == ["E", "R"]
    assert all(isinstance(row, Reproduced) for row in rows[:2])
    assert rows[0].measured == first.measured
    assert isinstance(rows[2], EdgevitError)
    assert str(rows[2]).startswith("X: ")
    assert rows[0].times.low <= 1.5  # the baseline against itself
    assert rows[1].as_printed_ms > 0
    assert "Conv" in pipeline.why(tmp_path, "onnx", rows[1])
    page = tmp_path / "page.html"
    pipeline.page(page, "tiny", tmp_path, "onnx", rows[:2])
    assert "latency in the paper, × E" in page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.needs("onnxruntime", "onnxscript")
def test_an_interrupted_bench_keeps_what_it_has_and_leaves_nothing_half_written(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import test_bench_papers as here; "
        "here.pipeline.load = lambda name: here.TABLE; from edgevit.cli import main; main()"
    )
    options = ["efficientmod", "--rounds", "5", "-o", str(tmp_path), "--json"]
    command = [sys.executable, "-c", code, str(Path(__file__).parent), "bench", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as running:
        for line in running.stderr:
            if "R: measure" in line:
                children = psutil.Process(running.pid).children(recursive=True)
                running.send_signal(signal.SIGINT)
                break
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert said.endswith("stopped; nothing half-written is left\n")
    assert not psutil.wait_procs(children, timeout=10)[1]
    runs = tmp_path / "efficientmod" / "onnx" / "runs"
    assert [folder.name for folder in runs.iterdir()] == [NETS[0]]
    assert not [file for file in tmp_path.rglob("*") if file.name.startswith(".")]

    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2  # row X, which cannot be built
    assert done.stderr.count("error: X: ") == 1
    assert "R: measure" in done.stderr
    assert "E: measure" not in done.stderr
    assert [row["row"] for row in json.loads(done.stdout)["rows"]] == ["E", "R"]


def test_a_missing_runtime_is_named_before_anything_is_converted(tmp_path, monkeypatch):
    monkeypatch.setattr(Onnx, "needs", ("no_such_package",))
    with pytest.raises(MissingRuntime, match=r"edgevit\[onnx\]"):
        list(pipeline.bench("efficientmod", out=tmp_path))
    assert not [*tmp_path.iterdir()]


def test_unknown_rows_and_tables_are_named(tmp_path):
    with pytest.raises(UnknownName, match="unknown row 'mobilenet'"):
        list(pipeline.bench("efficientmod", out=tmp_path, rows=["mobilenet"]))
    with pytest.raises(UnknownName, match="unknown table"):
        list(pipeline.bench("efficientmo", out=tmp_path))


@pytest.fixture
def seen(monkeypatch):
    """What torch sees of a GPU, for the commands to find: by default none."""
    found = {"device": "", "runtimes": []}
    monkeypatch.setattr("edgevit.sandbox.run", lambda function: found)
    return found


def test_without_a_gpu_its_column_says_so_and_nothing_fails(seen):
    done = CliRunner().invoke(efficientmod, ["--column", "gpu", "--json"])
    assert done.exit_code == 0
    assert "no CUDA device" in done.stderr
    assert json.loads(done.stdout) == {}


@pytest.mark.slow
def test_the_gpu_column_where_the_processor_stands_for_a_gpu(tmp_path, monkeypatch, seen):
    monkeypatch.setattr(pipeline, "load", lambda name: TABLE)
    monkeypatch.setitem(pipeline.PROTOCOL, "gpu", (2, 5))
    seen |= {"device": "Example GPU", "runtimes": ["torch-cpu-fp32"]}
    asked = ["--column", "gpu", "--rounds", "5", "-o", str(tmp_path), "--rows", "R", "--json"]
    done = CliRunner().invoke(efficientmod, asked)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["torch-cpu-fp32"]["rows"]
    assert (row["row"], row["paper_times"]) == ("R", 2)
    runs = tmp_path / "efficientmod" / "torch-cpu-fp32" / "runs" / "test_resnet"
    run = Run.load(runs / "plain.json")
    assert (run.context.device, run.context.runtime) == ("Example GPU", "torch")
    assert run.context.placement == "torch-cpu-fp32, batch 1"
    before = (runs / "plain.json").stat().st_mtime_ns
    assert CliRunner().invoke(efficientmod, asked).exit_code == 0
    assert (runs / "plain.json").stat().st_mtime_ns == before  # known, and not measured again


def test_a_page_is_of_the_cpu_column(seen):
    done = CliRunner().invoke(efficientmod, ["--column", "gpu", "--html", "page.html"])
    assert "--html draws the CPU column" in str(done.exception)
