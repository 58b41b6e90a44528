"""profile --ops in the real runtimes, on a net of which one convolution is nearly everything."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from edgevit.errors import ArtifactError, NotOnThisSystem
from edgevit.pipeline.convert import convert
from edgevit.pipeline.ops import profile_ops
from edgevit.profiles.ops.profile import OpProfile
from edgevit.recipe import Recipe

TARGETS = ("executorch", "tflite", "onnx")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("executorch", "litert_torch", "ai_edge_litert", "onnxruntime"),
]


class Net(nn.Module):
    """50 MMAC in `body.heavy`, 1 in everything else; the norm stays outside XNNPACK."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 1)
        self.body = nn.Sequential()
        self.body.add_module("heavy", nn.Conv2d(64, 96, 3, padding=1))
        self.norm = nn.LayerNorm(96)
        self.large = nn.Conv2d(96, 96, 7, padding=3, groups=96)
        self.head = nn.Linear(96, 10)

    def forward(self, x):
        x = self.body(self.stem(x).relu())[:, :, ::4, ::4].contiguous()
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(self.large(x).mean((2, 3)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ops")
    outcomes = convert(
        Recipe("net", rewrites=()),
        to=TARGETS,
        out=folder,
        model=(Net().eval(), (torch.ones(1, 3, 32, 32),)),
        verify=False,
        jobs=1,
    )
    assert [o.error for o in outcomes] == [None] * 3
    return {o.artifact.target: o.artifact.path for o in outcomes}


@pytest.fixture(scope="module")
def profiles(files):
    found = profile_ops([files[t] for t in TARGETS], runs=15, warmup_s=0.1)
    assert all(isinstance(p, OpProfile) for p in found), found
    return dict(zip(TARGETS, found, strict=True))


@pytest.mark.parametrize("target", TARGETS)
def test_the_heaviest_convolution_is_on_top(profiles, target):
    found = profiles[target]
    top = found.grouped("op")[0]
    assert top.module == "body.heavy"
    assert "conv" in top.kind.lower()
    assert top.macs == 64 * 96 * 9 * 32 * 32
    assert 0.01 < found.of_peak(top) < 3
    assert found.share(top) > 0.3
    assert found.grouped("module")[0].module == "body.heavy"


@pytest.mark.parametrize("target", TARGETS)
def test_the_parts_are_about_the_whole(profiles, target):
    found = profiles[target]
    assert 0.2 < found.ops_s / found.latency_s < 2
    assert found.share(*found.rows) + found.between_share == pytest.approx(1)
    assert {"stem", "body.heavy", "large"} <= {r.module for r in found.rows}
    total = sum(r.macs for r in found.rows)
    assert sum(r.macs for r in found.grouped("kind")) == pytest.approx(total)
    assert total == pytest.approx(64 * 32**2 * (3 + 96 * 9) + 64 * 96 * 49 + 960, rel=0.01)


def test_a_kernel_outside_the_delegate_has_its_time_and_cure(profiles):
    (row,) = (r for r in profiles["executorch"].rows if "native_layer_norm" in r.kind)
    assert row.outside
    assert row.seconds > 0
    assert "layer_norm_by_products" in row.cures
    assert not row.kernel  # XNNPACK does not run it
    assert not any(r.outside for r in profiles["onnx"].rows)


def test_as_typed(files, tmp_path):
    """One file without a card, as JSON, and one as a table; what cannot be said together."""
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(files["onnx"].read_bytes())
    settings = ("--ops", "--rounds", "3", "--warmup", "0")
    command = [sys.executable, "-m", "edgevit", "profile", *settings]
    done = subprocess.run([*command, "--json", alone], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["ops"][0]["module"] == "body.heavy"
    assert sum(op["share"] for op in found["ops"]) + found["between_share"] == pytest.approx(1)
    done = subprocess.run([*command, files["executorch"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for said in ("body.heavy", "in no operator", "% peak", "GMAC/s", "XNNPACK's, in whole µs"):
        assert said in done.stdout
    for wrong, said in ((("--html", "x.html"), "writes no page"), (("--by", "kind"), "--ops")):
        command = [sys.executable, "-m", "edgevit", "profile", str(alone), *wrong]
        command += ["--ops"] if wrong[0] == "--html" else []
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, said in done.stderr) == (2, True)


def test_what_cannot_be_profiled_is_said(tmp_path):
    torch.export.save(torch.export.export(nn.ReLU(), (torch.ones(2),)), tmp_path / "net.pt2")
    (tmp_path / "net.mlpackage").mkdir()
    (tmp_path / "net.mlpackage" / "Manifest.json").write_text("{}")
    null, missing, coreml = profile_ops(
        [tmp_path / "net.pt2", tmp_path / "no.onnx", tmp_path / "net.mlpackage"]
    )
    assert isinstance(null, NotOnThisSystem)
    assert "the operators of null files cannot be timed here" in str(null)
    assert isinstance(missing, ArtifactError)
    assert isinstance(coreml, NotOnThisSystem)
