"""LiteRT's own GPU delegate against the rules that are certain of it, where a GPU can be had.

Any Vulkan driver will do, one in software too: the delegate says what it takes before it runs.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import made_by_hand
import pytest

from edgevit.converters.explain.explanation import Explanation
from edgevit.converters.lint import find, lint

HERE = Path(__file__).parent
ASK = """
import sys
from importlib.metadata import version
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
print("version", version("ai-edge-litert"))
CompiledModel.from_file(sys.argv[1], hardware_accel=HardwareAccelerator.GPU)
print("made")
"""


def asked(file):
    """Operators that the delegate refuses, and the runtime's release; None where it has no GPU."""
    done = subprocess.run([sys.executable, "-c", ASK, file], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if "not supported by GPU delegate" not in said and "made" not in done.stdout.split():
        return None
    refused = said.partition("not supported by GPU delegate:")[2].partition("operations will run")[
        0
    ]
    (version,) = re.findall(r"^version (.+)$", said, re.MULTILINE)
    return set(re.findall(r"^(\w+): ", refused, re.MULTILINE)), version


@pytest.mark.slow
@pytest.mark.needs("ai_edge_litert", "litert_torch", "ai_edge_quantizer")
def test_what_is_certain_is_what_the_delegate_refuses(tmp_path):
    first = asked(made_by_hand.tflite(tmp_path / "net.tflite"))
    if first is None:
        pytest.skip("LiteRT finds no GPU here")
    assert first[0] == {"BROADCAST_TO"}
    graphs = tmp_path / "graphs"
    graphs.mkdir()
    script = [sys.executable, HERE / "known_graph_files.py", "tflite", graphs]
    subprocess.run(script, check=True, capture_output=True, cwd=HERE.parents[1])
    for name, told in json.loads((graphs / "told.json").read_text()).items():
        refused, version = asked(graphs / f"{name}.tflite")
        found = lint(Explanation.from_dict(told), find(f"litert-gpu@{version}"))
        assert refused == {op for f in found.broken for op in f.ops}, name
