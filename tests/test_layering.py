"""Imports point one way, files stay small, and nothing heavy is imported in passing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Left to right: a file imports from its own place or from the left.
ORDER = ("leaves", "models", "calibration", "prepare", "converters", "profiles", "pipeline", "cli")
SOURCES = sorted(
    f
    for folder in ("edgevit", "converters", "profiles", "tests", "examples")
    for f in (ROOT / folder).rglob("*.py")
)
PACKAGE = [f for f in SOURCES if f.relative_to(ROOT).parts[0] not in ("tests", "examples")]


def module_of(file: Path) -> str:
    """The name a file is imported by: converters and profiles are packages of edgevit."""
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    parts = parts if parts[0] == "edgevit" else ["edgevit", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(module: str) -> int:
    part = [*module.split("."), "cli"][1]  # edgevit itself is the door to all of it
    part = {"transforms": "models", "__main__": "cli"}.get(part, part)
    return ORDER.index(part if part in ORDER else "leaves")


def imports(file: Path) -> list[str]:
    """Every module a file imports, also inside functions; of `from a import b`, a.b too."""
    package = module_of(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("file", PACKAGE, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_left(file):
    here = place(module_of(file))
    known = {module_of(f) for f in PACKAGE} - {"edgevit"}
    right = [m for m in imports(file) if m in known and place(m) > here]
    assert not right, f"{file.name} is in {ORDER[here]}"


def test_the_parser_sees_what_it_should():
    convert = ROOT / "edgevit" / "pipeline" / "convert.py"
    assert {"edgevit.converters.target", "edgevit.sandbox", "os"} <= set(imports(convert))
    assert "edgevit.prepare" in imports(ROOT / "edgevit" / "pipeline" / "prepared.py")
    assert place("edgevit.converters.card") > place("edgevit.models.zoo") > place("edgevit.wire")


@pytest.mark.parametrize("name", ["converters", "profiles"])
def test_the_folders_are_imported_as_parts_of_edgevit(name):
    for file in SOURCES:
        assert not [m for m in imports(file) if m.split(".")[0] == name], file


def test_files_are_small_and_named_for_what_they_hold():
    for file in SOURCES:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 250, file
        assert file.stem not in ("utils", "helpers", "common", "base", "misc"), file


@pytest.mark.parametrize("module", ["edgevit.pipeline.convert", "edgevit.models", "edgevit.recipe"])
def test_importing_costs_no_torch(module):
    heavy = ("torch", "timm", "onnx", "onnxruntime", "coremltools", "executorch", "litert_torch")
    script = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)
