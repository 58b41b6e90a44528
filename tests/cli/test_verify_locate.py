"""`edgevit verify --locate` as a user types it, with real children."""

import json
import subprocess
import sys

import pytest
import torch

from edgevit import digest

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(6, 8), torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.last(self.first(x).relu())

def net(num_classes=4):
    torch.manual_seed(1)
    return Net(), (torch.ones(1, 6),)
"""


def run(*arguments, cwd):
    command = [sys.executable, "-m", "edgevit", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_a_file_of_another_model_under_this_models_card(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    done = run("convert", "net.py:net", "--to", "null", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (made,) = (tmp_path / "out").glob("*.pt2")
    program = torch.export.load(made)
    program.state_dict["last.bias"] += 1
    torch.export.save(program, made)
    card = made.with_name(made.name + ".json")
    written = json.loads(card.read_text())
    written["artifact"]["sha256"] = digest.of(made)
    card.write_text(json.dumps(written))

    done = run("verify", made, "--locate", "--json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["agreement"]["status"] == "rejected"
    assert found["location"]["module"] is None
    assert "lower up to last (3 steps)" in done.stderr
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "lowered again here it agrees everywhere" in said
