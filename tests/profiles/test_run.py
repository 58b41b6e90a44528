import json
from dataclasses import replace

import numpy as np
import pytest
from known_runs import make_run, quiet

from edgevit.errors import ArtifactError, InputError, OutputError
from edgevit.profiles.devices import host
from edgevit.profiles.run import Run


def test_statistics_are_those_of_all_samples():
    run = make_run([(1.0, 2.0), (3.0, 4.0), (5.0,)], macs=6, bracket=(2.0, 4.0, 3.0))
    assert run.median_s == 3
    assert run.p90_s == pytest.approx(4.6)
    assert run.spread_pct == pytest.approx(100 * 2 / 3)
    assert run.macs_per_s == 2
    assert run.peak_macs_per_s == 4
    assert run.fraction_of_peak == 0.5


def test_what_is_not_known_is_none():
    run = quiet()
    assert run.macs_per_s is run.peak_macs_per_s is run.fraction_of_peak is None


def test_eight_bits_are_held_against_the_int8_peak_where_there_is_one():
    fp32 = make_run([(1.0,)], macs=6, bracket=(3.0,))
    w8a8 = replace(fp32, context=replace(fp32.context, precision="w8a8c"))
    assert (w8a8.peak_of, w8a8.fraction_of_peak) == ("fp32", 2)
    both = (replace(run, bracket_int8_macs_per_s=(8.0, 12.0)) for run in (fp32, w8a8))
    assert [(run.peak_of, run.fraction_of_peak) for run in both] == [("fp32", 2), ("int8", 0.5)]


def test_a_run_of_before_int8_was_measured_loads(tmp_path):
    file = quiet().save(tmp_path)
    data = json.loads(file.read_text())
    del data["bracket_int8_macs_per_s"]
    file.write_text(json.dumps(data))
    assert Run.load(file) == quiet()


def test_a_saved_run_is_the_same_run(tmp_path):
    run = quiet(macs=123, bracket=(1e9, 1.1e9))
    assert Run.load(run.save(tmp_path)) == run
    assert Run.load(run.save(tmp_path / "sub" / "a.json")) == run
    assert [f.name for f in tmp_path.iterdir() if f.is_file()] == ["m.onnx-01234567-1t.json"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d | {"schema": 99}, "schema 99"),
        (lambda d: {k: v for k, v in d.items() if k != "rounds_s"}, "rounds_s"),
        (lambda d: d | {"rounds_s": "abc"}, "not a complete run"),
        (lambda d: [d], "schema None"),
        (lambda d: d | {"rounds_s": [[0.1], []]}, "round without any"),
        (lambda d: d | {"rounds_s": [[-0.1]]}, "not a positive time"),
    ],
)
def test_a_spoiled_file_is_refused(tmp_path, spoil, says):
    file = quiet().save(tmp_path)
    file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
    with pytest.raises(InputError, match=says):
        Run.load(file)


def test_no_json_and_no_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff{")
    with pytest.raises(ArtifactError, match="no JSON"):
        Run.load(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot read"):
        Run.load(tmp_path / "b.json")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = quiet().save(tmp_path / "a.json")
    before = file.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OutputError, match="no space is left"):
        quiet(seed=1).save(file)
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


def test_unlike_contexts_name_what_differs():
    run = quiet()
    run.require_like(quiet(runtime="executorch", precision="int8", placement=""))
    unlike = quiet(host="unit 2", threads=2, flags=(*run.context.flags, "avx512f"))
    with pytest.raises(InputError, match=r"host \(unit 1 / unit 2\), flags \(avx512f\), threads"):
        run.require_like(unlike)


def test_a_run_cannot_be_changed():
    with pytest.raises(AttributeError):
        quiet().name = "other"  # type: ignore[misc]
    with pytest.raises(InputError, match="no samples"):
        replace(quiet(), rounds_s=())


def test_the_host_is_described():
    facts = host.describe()
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 1 << 28
    assert facts["cpu"]
    assert set(facts["flags"]) <= host.FLAGS


def test_cpuinfo_of_arm_and_x86():
    arm = "processor : 0\nFeatures : fp asimd asimddp crc32\nCPU implementer : 0x41\n"
    arm += "CPU part : 0xd05\n"
    arm += "\nprocessor : 1\nCPU implementer : 0x41\nCPU part : 0xd0a\n"
    assert host.parse_cpuinfo(arm) == (
        "Arm 0x41: 0xd05 + 0xd0a",
        "0xd05 + 0xd0a",
        ("asimd", "asimddp"),
    )
    x86 = "cpu family : 6\nmodel : 85\nmodel name : Example\nstepping : 7\nflags : fpu avx2 f16c\n"
    assert host.parse_cpuinfo(x86) == ("Example", "6/85/7", ("avx2", "f16c"))
    assert host.parse_cpuinfo("") == ("", "", ())


def test_samples_keep_their_order():
    assert np.array_equal(make_run([(3.0, 1.0), (2.0,)]).samples_s, [3, 1, 2])
