"""`edgevit embed --ios`: a Swift package, whose syntax is read by a grammar and never built."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from known_classifier import NAMES, classifier, probabilities

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact

pytestmark = pytest.mark.needs("coremltools", "tree_sitter", "tree_sitter_swift")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ios")
    artifact = classifier(folder / "net.mlpackage", target="coreml")
    given = ["embed", artifact, "--ios", folder / "made", "--package", "BirdModel"]
    done = CliRunner().invoke(cli, [str(word) for word in given])
    assert done.exit_code == 0, (done.exception, done.output)
    return folder / "made"


def tree(text):
    import tree_sitter
    import tree_sitter_swift

    language = tree_sitter.Language(tree_sitter_swift.language())
    return tree_sitter.Parser(language).parse(text.encode()).root_node


def test_its_syntax_is_swifts(embedded):
    files = list(embedded.rglob("*.swift"))
    assert len(files) == 6
    for file in files:
        text = file.read_text()
        assert not tree(text).has_error, file
        assert tree(text.replace("{", "", 1).replace("[", "", 1)).has_error, file
        assert "Not built where edgevit is tested" in text
        assert "EdgevitEmbedded" not in text
    assert "**Unbuilt:**" in (embedded / "README.md").read_text()


def test_its_package_names_what_is_there(embedded):
    said = (embedded / "Package.swift").read_text()
    assert '.iOS("17.0"), .macOS("14.0")' in said
    assert re.findall(r'name: "(\w+)"', said)[0] == "BirdModel"
    for name, place in (("artifact", "Sources/BirdModel"), ("golden.png", "Tests/BirdModelTests")):
        assert f'.copy("{name}")' in said
        assert (embedded / place / name).exists()
    held = embedded / "Sources/BirdModel/artifact"
    assert Artifact.read(held / "net.mlpackage").target == "coreml"


def test_the_golden_scores_are_the_evaluators(embedded):
    golden = json.loads((embedded / "Tests/BirdModelTests/golden.json").read_text())
    exact = probabilities(embedded / "Tests/BirdModelTests/golden.png")
    order = np.argsort(-exact)[:5]
    assert [entry["label"] for entry in golden["top"]] == [NAMES[i] for i in order]
    found = [entry["probability"] for entry in golden["top"]]
    np.testing.assert_allclose(found, exact[order], rtol=1e-5)


def test_a_module_that_swift_does_not_allow(tmp_path):
    given = ["embed", "net.mlpackage", "--ios", tmp_path / "made", "--package", "com.example"]
    done = CliRunner().invoke(cli, [str(word) for word in given])
    assert "is no module for Swift" in str(done.exception)
    assert not (tmp_path / "made").exists()
