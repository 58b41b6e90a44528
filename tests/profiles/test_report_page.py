"""The page as text: all of it is there, and nothing of it is fetched or believed."""

import csv
import io
import re

import pytest
from known_card import card
from known_folder import add, filled

from edgevit.profiles.report import html, summary
from edgevit.profiles.report.contents import read
from edgevit.profiles.report.scatter import Point


def page(folder, **more):
    contents = read(folder)
    file = html.write(folder / "report.html", contents=contents, title="All of it", **more)
    return file.read_text(encoding="utf-8"), contents


def test_each_section_is_there_in_order_with_its_numbers(tmp_path):
    folder = filled(tmp_path)
    (folder / "notes.txt").write_text("notes")
    text, contents = page(folder)
    found = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert found == ["Artifacts", "Speed", "Agreement", "Placement", "Doubts", "Cards", "Left out"]
    for entry in contents.entries[:3]:
        assert f'<td class="number">{entry.row["median_ms"]:.4g}</td>' in text
    assert contents.entries[1].row["speed_text"] in text
    assert "Example CPU, 1 thread" in text
    assert "Example CPU, 2 threads" in text
    assert "the middle half of the samples" in text  # of the noisy b.pte
    assert "notes.txt: neither an artifact nor a card" in text
    assert text.count("<details><summary>") == 4 + 2  # cards, contexts
    assert "3 runs" in text


def test_what_a_file_says_is_text_and_nothing_more(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    model = {**card().model, "name": evil}
    add(tmp_path, "a.onnx", seconds=0.01, run={"device": evil, "cpu": evil}, model=model)
    (tmp_path / "<b>.txt").write_text("")
    text, _ = page(tmp_path)
    assert "<script>alert" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_without_runs_there_is_no_section_on_speed(tmp_path):
    add(tmp_path, "a.onnx", placement=None)
    text, _ = page(tmp_path)
    assert "Speed" not in text
    assert "<svg" not in text
    assert '<th scope="col">placement</th>' not in text  # nor a column of dashes


def test_of_many_runs_the_fastest_are_drawn_and_all_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("edgevit.profiles.report.speed.MOST", 2)
    for i in range(3):
        add(tmp_path, f"{i}.onnx", seconds=0.01 / (1 + i), run={"rounds": 3})
    text, _ = page(tmp_path)
    assert "the 2 fastest of 3" in text
    assert text.count('<rect class="bar"') == 2 + 2
    assert text.count('<tr><th scope="row">0.onnx</th>') == 4  # summary, runs, agreement, placement


def test_papers_are_compared_by_ratios_to_the_first(tmp_path):
    add(tmp_path, "a.onnx")
    points = [Point("MobileNetV2×1.0", 3.8, 1.9), Point("DeiT-T", 7.6, 9.5, 7.6, 11.4)]
    text, _ = page(tmp_path, against_paper=points)
    numbers = re.findall(r'<td class="number">([^<]*)</td>', text[text.index(">DeiT-T<") :])
    assert numbers[:5] == ["2", "2", "5", "4", "6"]


def test_markdown_is_a_table_that_pipes_do_not_break(tmp_path):
    filled(tmp_path)
    add(tmp_path, "e|f.onnx")
    (tmp_path / "notes.txt").write_text("notes")
    lines = summary.as_markdown(read(tmp_path)).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 5
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert "- notes.txt: neither an artifact nor a card" in lines


def test_csv_holds_unrounded_numbers(tmp_path):
    contents = read(filled(tmp_path))
    rows = list(csv.DictReader(io.StringIO(summary.as_csv(contents))))
    assert [row["artifact"] for row in rows] == ["a.onnx", "b.pte", "c.tflite", "d.onnx"]
    for key in ("median_ms", "p90_ms", "max_error", "speed"):
        assert float(rows[1][key]) == pytest.approx(contents.entries[1].row[key], rel=1e-15)
    assert rows[3]["median_ms"] == ""
