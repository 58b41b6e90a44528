"""What `edgevit embed --android` writes compiles, and its golden tests pass, on a JVM.

ONNX and TFLite side by side in one app, each in its own package; ExecuTorch is only compiled.
"""

import json
import re
import shutil
import subprocess
import sys

import pytest
import torch

import edgevit
from edgevit.pipeline.embed import embed
from edgevit.pipeline.embed_android import Android
from edgevit.preprocess import Preprocess

pytestmark = [
    pytest.mark.android,
    pytest.mark.slow,
    pytest.mark.needs("aapt2", "gcc", "java", "mvn", "onnxruntime", "ai_edge_litert", "executorch"),
]


class Net(torch.nn.Module):
    """Of crop mode "border", grey, with a mean of its own: little of it is the default."""

    preprocess = Preprocess(32, 48, 1.0, "bicubic", (0.4,), (0.3,), "L", crop_mode="border")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, 2, 1), torch.nn.GELU(), torch.nn.Conv2d(8, 8, 3, 2, 1)
        )
        self.head = torch.nn.Linear(8, 7)
        torch.nn.init.normal_(self.head.weight, std=4)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """One folder for each target."""
    folder = tmp_path_factory.mktemp("embedded")
    model = (Net().eval(), (torch.zeros(1, 1, 32, 48),))
    made = edgevit.convert("net", model=model, to=["onnx", "tflite", "executorch"], out=folder)
    folders = {}
    for outcome in made:
        assert outcome.artifact is not None, outcome.error
        target = outcome.artifact.target
        folders[target] = folder / f"{target}_module"
        package = f"com.example.{target}_net"
        embed(outcome.artifact.path, folders[target], Android(), package=package)
    return folders


def run(root, work, *folders):
    words = [sys.executable, root / "android_demo/embedded_on_jvm.py", work, *folders]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_golden_tests_pass(embedded, root, tmp_path):
    code, said = run(root, tmp_path / "work", *embedded.values())
    assert code == 0, said
    passed = re.findall(r"^OK com\.example\.(\w+)\.GoldenTest \(1\)$", said, re.MULTILINE)
    assert sorted(passed) == ["onnx_net", "tflite_net"]
    assert "compiled, not run here: com.example.executorch_net of executorch" in said


def test_golden_tests_fail_for_other_scores(embedded, root, tmp_path):
    """Each expects a class and a score that is not its artifact's."""
    chosen = []
    for target, key in (("onnx", "best"), ("tflite", "probability")):
        chosen.append(shutil.copytree(embedded[target], tmp_path / target))
        (file,) = chosen[-1].rglob("golden.json")
        golden = json.loads(file.read_text())
        if key == "best":
            golden["best"] = [golden["top"][1]["label"]]
        else:
            golden["top"][2]["probability"] *= 1.001
        file.write_text(json.dumps(golden))
    code, said = run(root, tmp_path / "work", *chosen)
    assert code == 1, said
    assert "FAILED com.example.onnx_net.GoldenTest" in said
    assert re.search(r"the best class is class \d, not \[\"class \d\"\]", said)
    assert "FAILED com.example.tflite_net.GoldenTest" in said
    assert re.search(r"probability \S+ of class \d in place of", said)
