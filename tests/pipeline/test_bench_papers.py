"""A paper's table measured for real, of three tiny nets of timm's own tests."""

import json

import pytest
from click.testing import CliRunner

from edgevit.cli.papers import efficientmod
from edgevit.errors import EdgevitError, UnknownName
from edgevit.pipeline import bench as pipeline
from edgevit.profiles.reproduce import Reproduced
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
        {"row": row, "model": net, "cpu_ms": ms, "top1_pct": "60"}
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


def test_unknown_rows_and_tables_are_named(tmp_path):
    with pytest.raises(UnknownName, match="unknown row 'mobilenet'"):
        list(pipeline.bench("efficientmod", out=tmp_path, rows=["mobilenet"]))
    with pytest.raises(UnknownName, match="unknown table"):
        list(pipeline.bench("efficientmo", out=tmp_path))


def test_without_a_gpu_its_column_says_so_and_nothing_fails():
    done = CliRunner().invoke(efficientmod, ["--column", "gpu", "--json"])
    assert done.exit_code == 0
    assert "GPU" in done.stderr
    assert json.loads(done.stdout) == {"rows": [], "off": {}, "summary": None}
