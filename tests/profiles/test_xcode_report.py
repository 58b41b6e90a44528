"""Xcode's performance reports: read, shown, kept as runs, and refused where they are none."""

import json

import pytest
from click.testing import CliRunner
from known_folder import add
from known_xcode import report

from edgevit.cli import cli
from edgevit.errors import InputError
from edgevit.pipeline.compare import compare
from edgevit.pipeline.imported import xcode_run
from edgevit.profiles.run import Run
from edgevit.profiles.xcode_report import read


@pytest.fixture
def written(tmp_path):
    def write(data, name="net.mlperf/report.json"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(data))
        return file

    return write


def test_a_report_is_read(written):
    file = written(report())
    found = read(file)
    assert read(file.parent) == found
    assert (found.model, found.device, found.os) == ("net", "iPhone 15 Pro", "iOS 18.1")
    assert (found.units, found.started) == ("all", "2026-06-21T23:55:10+00:00")
    assert [len(block) for block in found.rounds_s] == [40, 40, 40]
    assert found.rounds_s[0][0] == 0.009
    assert [(op.kind, op.name, op.preferred, op.cost) for op in found.operators] == [
        ("conv", "y", "Neural Engine", 0.6),
        ("conv", "z", "Neural Engine", 0.2),
        ("cond", "c", "CPU", 0.1),
        ("add", "sum", "CPU", 0.1),
    ]
    assert found.operators[2].supported == ("CPU", "GPU")
    assert found.placement == "all: 2 on Neural Engine + 2 on CPU"


@pytest.mark.parametrize(("number", "units"), enumerate(("cpu", "gpu", "all", "ane")))
def test_compute_units_are_core_mls(written, number, units):
    assert read(written(report(computeUnit=number))).units == units


def test_as_a_run_and_with_nothing_of_its_owner(written, tmp_path):
    run = xcode_run(read(written(report())))
    assert run.median_s == pytest.approx(0.002, rel=0.01)
    assert (run.first_run_s, run.load_s) == (0.009, 0.02)
    assert (run.context.threads, run.context.runtime) == (0, "Core ML, by Xcode")
    text = run.save(tmp_path / "run.json").read_text()
    assert Run.load(tmp_path / "run.json") == run
    for secret in ("Ada", "ada", "SERIAL", "FEED"):
        assert secret not in text
    other = report()
    other["deviceInfo"] |= {"deviceID": "another"}
    assert xcode_run(read(written(other))).context.host != run.context.host


def test_an_artifact_lends_its_digest_and_precision(written, tmp_path):
    found = read(written(report()))
    net = add(tmp_path, "net.mlpackage")
    run = xcode_run(found, net)
    assert (run.context.artifact, run.context.precision) == ("net.mlpackage", "fp32")
    assert len(run.context.sha256) == 64
    with pytest.raises(InputError, match=r"the report is of net, not of .*other\.mlpackage"):
        xcode_run(found, add(tmp_path, "other.mlpackage"))


def test_two_reports_are_compared_and_a_run_of_ours_is_not(written, tmp_path):
    slow = report(computeUnit=0)
    predict = slow["deviceResults"]["predict"]
    predict["samples"] = [2 * s for s in predict["samples"]]
    for name, data in (("a", slow), ("b", report())):
        found = read(written(data, f"{name}/report.json"))
        xcode_run(found).save(tmp_path / f"{name}.json")
    (pair,) = compare(tmp_path / "a.json", tmp_path / "b.json")
    assert pair.speed.verdict == "faster"
    assert pair.speed.value == pytest.approx(2, rel=0.01)
    assert pair.differs["placement"][0].startswith("cpu: ")
    (tmp_path / "ours").mkdir()
    add(tmp_path / "ours", "net.mlpackage", seconds=0.01)
    (ours,) = (tmp_path / "ours" / "runs").iterdir()
    with pytest.raises(InputError, match="threads"):
        compare(tmp_path / "a.json", ours)
    with pytest.raises(InputError, match="not an edgevit card"):  # the report itself is no run
        compare(tmp_path / "a" / "report.json", tmp_path / "b.json")


def without(*keys):
    data = report()
    place = data
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "it has no jsonVersion"),
        ([1], "it has no jsonVersion"),
        (report(jsonVersion=2), "jsonVersion 2; this edgevit reads 1"),
        (without("deviceResults"), "not a finished performance report: it lacks 'deviceResults'"),
        (without("deviceResults", "predict", "samples"), "holds no samples of predictions"),
        (report(computeUnit=-1), "computeUnit -1 is none of Core ML's"),
        (report(deviceInfo=[]), "not a performance report as Xcode writes it"),
    ],
)
def test_other_files_are_refused(written, data, words):
    with pytest.raises(InputError, match=words):
        read(written(data))


def test_no_json_and_no_file_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("<html>")
    with pytest.raises(InputError, match="no Xcode performance report: no JSON"):
        read(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot read the report"):
        read(tmp_path / "none.mlperf")


def test_a_model_that_is_no_program_still_has_its_times(written, tmp_path):
    file = written(without("deviceResults", "modelStructure"))
    assert read(file).placement == "all: not told"
    done = CliRunner().invoke(cli, ["import", "xcode-report", str(file)])
    assert done.exit_code == 0
    assert "placed on" not in done.stdout


def test_the_command(written, tmp_path):
    command = ["import", "xcode-report", str(written(report()).parent)]
    done = CliRunner().invoke(cli, [*command, "-v", "--runs", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    assert "net on iPhone 15 Pro, iOS 18.1, compute units: all" in done.stdout
    assert "Neural Engine          2   80.0%" in done.stdout
    assert "few rounds" not in done.stdout
    assert "3 rounds" in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("-all.json")
    said = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert said["median_ms"]["load"] == 20
    assert said["operators"][0]["supported"] == ["CPU", "GPU", "Neural Engine"]
