"""What a report finds in a folder, and what it leaves out and why."""

import json
from dataclasses import replace

import pytest
from known_folder import add, filled
from known_runs import quiet

from edgevit.converters.target import Placement
from edgevit.converters.verify import REJECTED, Agreement, OutputAgreement
from edgevit.errors import InputError
from edgevit.profiles.compare import ratio
from edgevit.profiles.report.contents import read
from edgevit.profiles.report.html import write
from edgevit.profiles.report.summary import plain
from edgevit.profiles.run import Run


def rows(folder, **more):
    return {entry.row["artifact"]: entry.row for entry in read(folder, **more).entries}


def test_cards_and_runs_meet_by_digest(tmp_path):
    found = read(filled(tmp_path), top1_pct={"net": 71.8})
    assert not found.left_out
    assert [len(session.runs) for session in found.sessions] == [2, 1]  # threads differ
    a, b, c, d = (entry.row for entry in found.entries)
    assert [row["artifact"] for row in (a, b, c, d)] == ["a.onnx", "b.pte", "c.tflite", "d.onnx"]
    assert (a["max_error"], a["allowed"], a["snr_db"], a["agreement"]) == (
        1e-7,
        1e-6,
        120.5,
        "agrees",
    )
    assert (a["target"], a["precision"], a["placement"]) == ("onnx", "fp32", "2 partitions + 1 op")
    assert (a["size_mb"], a["paper_top1_pct"]) == (6e-6, 71.8)
    runs = [Run.load(tmp_path / "runs" / name) for name in sorted_runs(tmp_path)]
    assert a["median_ms"] == runs[0].median_s * 1e3
    assert b["speed"] == ratio(*runs[:2]).value
    assert [row["session"] for row in (a, b, c)] == [1, 1, 2]
    assert a["speed_text"] == c["speed_text"] == "1 (base)"
    assert "median_ms" not in d


def sorted_runs(folder):
    return sorted(file.name for file in (folder / "runs").iterdir())


def test_an_artifact_of_two_runs_has_two_lines_and_one_card(tmp_path):
    add(tmp_path, "a.onnx", seconds=0.01)
    run = Run.load(tmp_path / "runs" / sorted_runs(tmp_path)[0])
    replace(run, context=replace(run.context, threads=4), cores_used=4.0).save(tmp_path / "runs")
    found = read(tmp_path)
    assert [entry.row["threads"] for entry in found.entries] == [1, 4]
    assert [entry.words is None for entry in found.entries] == [False, True]
    assert [len(entry.outputs) for entry in found.entries] == [1, 0]


def test_runs_of_a_phone_need_no_file(tmp_path):
    quiet(name="phone.pte", artifact="phone.pte").save(tmp_path / "runs")
    assert rows(tmp_path)["phone.pte"]["median_ms"] == pytest.approx(10, rel=0.01)


def test_rejected_files_are_shown_as_such(tmp_path):
    wrong = OutputAgreement("output", 1.0, 1e-6, 2e-7, None, 0.5, 0.25)
    file = add(tmp_path, "a.onnx", agreement=Agreement(REJECTED, 16, (wrong,)))
    for old in (file, file.with_name("a.onnx.json")):
        suffix = ".rejected" + (".json" if old.suffix == ".json" else "")
        old.rename(tmp_path / f"a.onnx{suffix}")
    row = rows(tmp_path)["a.onnx.rejected"]
    assert (row["agreement"], row["max_error"], row["top1_kept_pct"]) == (REJECTED, 1.0, 25)
    assert row["snr_db"] == float("inf")
    assert plain(read(tmp_path))[0]["snr_db"] is None  # JSON has no infinity


def test_operators_outside_have_their_cure_and_why_it_did_not_come(tmp_path):
    refused = [["select_as_slice", "blocks.0", "the index is not fixed"]]
    add(
        tmp_path,
        "a.pte",
        placement=Placement("XNNPACK", 2, {"dim::select_copy": 3, "strange": 1}),
        rewrites={"applied": {}, "refused": refused, "left_alone": None},
    )
    known, unknown = read(tmp_path).entries[0].outside
    assert (known["operator"], known["count"], known["cures"]) == (
        "dim::select_copy",
        3,
        "select_as_slice",
    )
    assert known["artifact"] == "a.pte"
    assert known["left_alone"] == "the index is not fixed"
    assert (unknown["cures"], unknown["left_alone"]) == ("none known", None)


def test_what_is_damaged_or_foreign_is_named(tmp_path):
    folder = filled(tmp_path)
    for name in ("changed.onnx", "odd.onnx", "gone.onnx", "deep.onnx", "stale.onnx"):
        add(folder, name, seconds=0.01 if name == "stale.onnx" else None)
    (folder / "changed.onnx").write_bytes(b"other")
    (folder / "gone.onnx").unlink()
    add(folder, "stale.onnx", key="again")
    spoil(folder / "odd.onnx.json", lambda d: d["placement"].update(outside={"cat": "many"}))
    (folder / "deep.onnx.json").write_text("[" * 100_000)
    (folder / "bare.onnx").write_bytes(b"from elsewhere")
    (folder / "notes.txt").write_text("notes")
    (folder / "pictures").mkdir()
    (folder / "report.html").write_text("an older report")
    runs = folder / "runs"
    run = quiet(name="r", artifact="r.onnx")
    for name in ("cut", "odd", "even", "empty", "binary"):
        run.save(runs / f"{name}.json")
    (runs / "cut.json").write_text((runs / "cut.json").read_text()[:100])
    spoil(runs / "odd.json", lambda d: d.update(cores_used="many"))
    spoil(runs / "even.json", lambda d: d.update(unsettled=2))
    spoil(runs / "empty.json", lambda d: d.update(rounds_s=[]))
    (runs / "binary.json").write_bytes(b"\xff\xfe\x00")
    replace(run, context=replace(run.context, artifact="stale.onnx", sha256="0")).save(runs)
    found = read(folder, but=folder / "report.html")
    assert set(found.left_out) == {
        "changed.onnx", "odd.onnx", "gone.onnx.json", "deep.onnx", "bare.onnx", "notes.txt",
        "pictures", "runs/cut.json", "runs/odd.json", "runs/even.json", "runs/empty.json",
        "runs/binary.json", "a run of stale.onnx",
    }  # fmt: skip
    assert "SHA-256" in found.left_out["changed.onnx"]
    assert "measured another file" in found.left_out["a run of stale.onnx"]
    names = {entry.row["artifact"] for entry in found.entries}
    assert names == {"a.onnx", "b.pte", "c.tflite", "d.onnx", "stale.onnx"}
    write(tmp_path / "page.html", contents=found, title="all the same")


def spoil(file, change):
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data))


@pytest.mark.parametrize("value", ["<b>", 7, None, [], {"x": []}])
@pytest.mark.parametrize(
    "field", ["artifact", "model", "recipe", "agreement", "placement", "tools"]
)
def test_no_card_makes_it_crash(tmp_path, field, value):
    """Each field, and each value in it, replaced by something else: shown, or left out."""
    add(tmp_path, "sound.onnx")
    plain = json.loads((tmp_path / "sound.onnx.json").read_text(encoding="utf-8"))
    for i, key in enumerate([None, *plain[field]]):
        file = add(tmp_path, f"{i}.onnx", seconds=0.01)
        spoil(file.with_name(f"{i}.onnx.json"), lambda d, key=key: replaced(d, field, key, value))
    found = read(tmp_path)
    write(tmp_path / "page.html", contents=found, title="page")
    assert "<b>" not in (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = {entry.row["artifact"] for entry in found.entries}
    assert shown | set(found.left_out) >= {f"{i}.onnx" for i in range(1 + len(plain[field]))}


def replaced(data, field, key, value):
    if key is None:
        data[field] = value
    else:
        data[field][key] = value


def test_nothing_to_report_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        read(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="nothing to report"):
        read(tmp_path)
