"""The command as a user types it: exit codes, one sentence for bad input, JSON, completion."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgevit.cli import COMMANDS, cli, main
from edgevit.cli.screen import Screen
from edgevit.converters import target as targets

EDGEVIT = [sys.executable, "-m", "edgevit"]


def run(*arguments, cwd=None, env=None):
    return subprocess.run(
        [*EDGEVIT, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One artifact of the null target, converted by the command from a user's own file."""
    folder = tmp_path_factory.mktemp("made here, with spaces é")
    (folder / "net.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    preprocess = {'height': 16, 'width': 16, 'crop_fraction': 1.0}\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = torch.nn.Linear(3 * 256, 4)\n"
        "    def forward(self, x):\n"
        "        return self.head(x.flatten(1))\n"
        "def net():\n"
        "    return Net()\n"
        "def refused():\n"
        "    class Branching(Net):\n"
        "        def forward(self, x):\n"
        "            if x.sum() > 0:\n"
        "                return x\n"
        "            return -x\n"
        "    return Branching()\n"
    )
    done = run("convert", "net.py:net", "--input-size", 16, "--to", "null", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["card"]["agreement"]["status"] == "agrees"
    return folder


def test_help_comes_at_once_and_without_torch():
    code = "import sys, edgevit.cli; edgevit.cli.cli.main(['--help'], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "timm", "rich.table", "executorch", "onnxruntime", "PIL"}
    assert all(command in done.stdout for command in COMMANDS)
    took = []
    for _ in range(3):
        began = time.monotonic()
        assert run("--help").returncode == 0
        took.append(time.monotonic() - began)
    bare = time.monotonic()
    subprocess.run([sys.executable, "-c", "import click, numpy"], check=True)
    bare = time.monotonic() - bare
    assert min(took) < 6 * bare  # against this machine's own pace, not against a clock


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["convert", "efficientmod_xx", "--to", "onnx"], 2, "did you mean 'efficientmod_xxs'"),
        (["convert", "efficientmod_xxs", "--to", "corelm"], 2, "did you mean 'coreml'"),
        (["convert", "mobilenetv2_100", "--to", "onnx", "--precision", "fp15"], 2, "fp16"),
        (["convert", "mobilenetv2_100", "--to", "onnx", "--precision", "w8a8"], 2, "--calibrate"),
        (["convert", "net.py:net", "--to", "null", "--calibrate", "out"], 2, "is for w8a8"),
        (["convert", "mobilenetv2_100", "--to", "onnx", "--ios", "3"], 2, "iOS 3"),
        (["convert", "net.py:net", "--to", "null", "--costs", "net.py"], 2, "bench rewrites"),
        (["convert", "nowhere.py:net", "--to", "null"], 2, "nowhere.py"),
        (["convert", "net.py:nett", "--to", "null"], 2, "'net'"),
        (["convert", "net.py:refused", "--input-size", "16", "--to", "null"], 2, "net.py:14"),
        (["convert", "net.py:net", "--input-size", "17", "--to", "null"], 2, "17"),
        (["convert", "net.py:net", "--to", "null", "--weights", "none.safetensors"], 2, "none.saf"),
        (["convert", "net.py:net", "--to", "null", "-o", "net.py"], 6, "net.py is a file"),
        (["verify", "nothing.onnx"], 2, "no artifact at nothing.onnx"),
        (["verify", "net.py"], 2, "net.py is no artifact"),
        (["show", "empty.tflite"], 2, "empty.tflite is empty"),
        (["classify", "out/net.pt2", "net.py"], 2, "not a readable picture"),
        (["profile", "net.py", "net.py"], 2, "none of the 2 paths"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(made, arguments, code, words):
    (made / "empty.tflite").touch()
    before = sorted(made.rglob("*"))
    done = run(*arguments, cwd=made)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == code, done.stderr
    assert len(said) == 1
    assert words in said[0]
    assert "Traceback" not in done.stderr
    assert sorted(made.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert", "net.py:net", "--input-size", "16", "--to", "null"], "agrees"),
        (["verify", "out/net.pt2"], "agrees"),
        (["profile", "out/net.pt2", "--rounds", "1"], "net.pt2"),
        (["show", "out/net.pt2"], "sha256"),
        (["list", "targets"], "executorch"),
    ],
)
def test_quiet_leaves_out_progress_and_remarks_but_no_result(made, arguments, says):
    done = run(*arguments, "-q", cwd=made)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


def test_a_changed_file_is_refused(made, tmp_path):
    for file in (made / "out").iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert run("show", tmp_path / "net.pt2").returncode == 0
    changed = tmp_path / "net.pt2"
    changed.write_bytes(changed.read_bytes() + b"x")
    for command in ("show", "verify", "profile"):
        done = run(command, changed)
        assert done.returncode == 2
        assert "SHA-256 differs" in done.stderr


def test_verify_profile_and_classify_take_what_the_shell_made_of_a_star(made):
    inside = sorted(p for p in (made / "out").iterdir() if p.name != "runs")
    done = run("verify", *inside, "--json")
    assert done.returncode == 0, done.stderr
    assert [v["agreement"]["status"] for v in json.loads(done.stdout)] == ["agrees"]
    options = ("--rounds", 3, "--device-name", "my board", "--html", made / "page.html")
    done = run("profile", *inside, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["median_ms"] > 0
    assert (made / "page.html").stat().st_size > 1000
    (file,) = (made / "out" / "runs").iterdir()
    assert json.loads(file.read_text())["context"]["device"] == "my board"
    picture = Path(__file__).parents[2] / "edgevit" / "photographs" / "flower.jpg"
    labels = made / "labels.txt"
    labels.write_text("a\nb\nc\nd\n")
    done = run("classify", made / "out/net.pt2", picture, "--labels", labels, "--json")
    assert done.returncode == 0, done.stderr
    top = json.loads(done.stdout)[0]["top"]
    assert {t["label"] for t in top} == set("abcd")
    assert sum(t["probability"] for t in top) == pytest.approx(1)


def test_verbose_tells_more(made):
    for command in ("verify", "profile"):
        extra = ("--rounds", 2) if command == "profile" else ()
        short = run(command, made / "out/net.pt2", *extra)
        full = run(command, made / "out/net.pt2", *extra, "-v")
        words = {"verify": "torch's own", "profile": "cores busy"}[command]
        assert words not in short.stdout
        assert words in full.stdout


def test_a_second_call_finds_it_unchanged(made):
    done = run("convert", "net.py:net", "--input-size", 16, "--to", "null", "--json", cwd=made)
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["unchanged"] is True


def test_a_defect_of_ours_is_told_from_bad_input(monkeypatch, capsys):
    monkeypatch.setattr(targets, "find", lambda name: 1 / 0)
    monkeypatch.setattr("edgevit.cli.list._targets", lambda: 1 / 0)
    with pytest.raises(SystemExit) as ended:
        main(["list", "targets"])
    assert ended.value.code == 1
    assert "defect of edgevit" in capsys.readouterr().err


def test_brackets_are_no_markup(capsys):
    Screen(quiet=False, verbose=False, as_json=False).show("pip install 'edgevit[onnx]'")
    assert "edgevit[onnx]" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    script = CliRunner().invoke(cli, ["completion", shell])
    assert script.exit_code == 0
    assert "_EDGEVIT_COMPLETE" in script.output


def test_completion_knows_models_and_targets():
    words = {"COMP_WORDS": "edgevit convert efficientmod_x", "COMP_CWORD": "2"}
    done = run(env={**words, "_EDGEVIT_COMPLETE": "bash_complete"})
    assert "efficientmod_xxs" in done.stdout
    words = {"COMP_WORDS": "edgevit convert x --to tflite,cor", "COMP_CWORD": "4"}
    done = run(env={**words, "_EDGEVIT_COMPLETE": "bash_complete"})
    assert "tflite,coreml" in done.stdout


def test_doctor_and_list_speak_json():
    doctor = json.loads(run("doctor", "--json").stdout)
    assert {t["target"] for t in doctor["targets"]} == {"executorch", "tflite", "coreml", "onnx"}
    assert doctor["machine"]["cores"] >= 1
    models = json.loads(run("list", "models", "--json").stdout)
    tables = json.loads(run("list", "tables", "--json").stdout)
    assert {"efficientmod", "iphone_12", "qualcomm_ai_hub"} <= {t["table"] for t in tables}
    assert {"efficientmod_xxs", "deit_tiny", "mobilenetv2_100"} <= {m["model"] for m in models}


def test_a_published_table_says_that_it_is_one():
    shown = CliRunner().invoke(cli, ["list", "tables", "raspberry_pi_5"]).output
    assert "published, not measured here" in shown
    assert "10.89" in shown
    told = json.loads(CliRunner().invoke(cli, ["list", "tables", "pixel", "--json"]).output)
    assert (told["said"], told["devices"]) == (
        "published, not measured here",
        ["Pixel 6", "Pixel 8"],
    )
    assert told["rows"][0]["latency_ms"] == "2.4"
    for wrong in (["models", "pixel"], ["tables", "--counts"]):
        assert CliRunner().invoke(cli, ["list", *wrong]).exit_code == 2


def test_devices_are_listed_with_the_tables_that_tell_of_them():
    shown = CliRunner().invoke(cli, ["list", "devices"]).output
    assert "published, not measured here" in shown
    assert "Apple A14 Bionic" in shown
    told = json.loads(CliRunner().invoke(cli, ["list", "devices", "--json"]).output)
    by_name = {device["name"]: device for device in told}
    assert by_name["Raspberry Pi 5"]["tables"] == ["raspberry_pi_5"]
    assert by_name["Raspberry Pi 5"]["cpu"] == [{"cores": 4, "core": "Cortex-A76", "ghz": 2.4}]
    assert by_name["iPhone 13"]["tables"] == []
    assert {device["said"] for device in told} == {"published, not measured here"}
