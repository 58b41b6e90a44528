"""The card: a JSON file beside each artifact that says what it is and what was checked.

schema       1; a reader refuses a larger one
artifact     file name, sha256, size in bytes; where weights are to be stored in 8 bits or fewer,
             `bits`: how many of its numbers are stored in how many
target       executorch, tflite, coreml, onnx
executes     what the runtime really computes in this precision, in words
recipe       everything chosen: model, weights, classes, size, seed, precision ...
model        parameters, MACs of one inference, inputs and outputs with dtype and shape; `merged`,
             how many tokens merge in each block, where any do
weights_sha256   of the model's state, so that verify knows it rebuilt the same one
sources      the user's own Python files and their digests
preprocess   size, crop fraction, interpolation, mean, std, channel order; null for non-images
labels       class names in order, or null
agreement    see `verify`: status "agrees", "rejected", "skipped"
rewrites     what was done to the graph before it was lowered: rule → how often, what was refused
             and why, and why the form that torch exports stands where that is so; in w8a8 how many
             tensors were `equalized`, and `clipped`, by what chose the range; null for none asked
placement    delegate, partitions, operators outside; null where nobody can know
tools        versions of everything that took part
key          digest of all that decides the file, or null for a module given from Python
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from edgevit.errors import ArtifactError, InputError
from edgevit.recipe import Recipe
from edgevit.staging import write_text

from .target import Placement
from .verify import Agreement

SCHEMA = 1
SUFFIX = ".json"


@dataclass(frozen=True)
class Card:
    """The fields above; `recipe` and `model` stay the plain values they are on disk."""

    artifact: dict[str, Any]
    target: str
    executes: str
    recipe: dict[str, Any]
    model: dict[str, Any]
    weights_sha256: str
    sources: dict[str, str]
    preprocess: dict[str, Any] | None
    labels: list[str] | None
    agreement: Agreement
    rewrites: dict[str, Any] | None
    placement: Placement | None
    tools: dict[str, str]
    key: str | None
    schema: int = SCHEMA

    def write(self, file: Path) -> None:
        write_text(file, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        """The card in `file`; ArtifactError when there is none or it is no card."""
        try:
            d = json.loads(file.read_text(encoding="utf-8"))
            newer = d["schema"] > SCHEMA
            if not newer:
                placement = d["placement"] and Placement(**d["placement"])
                agreement = Agreement.from_dict(d["agreement"])
                card = cls(**d | {"placement": placement, "agreement": agreement})
                # What `verify` and `profile` read, so that it surprises nobody there.
                str(d["artifact"]["sha256"]), Recipe.from_dict(d["recipe"])
                d["model"]["macs"], [str(port["name"]) for port in d["model"]["outputs"]]
        except FileNotFoundError:
            raise ArtifactError(
                f"no card {file.name} beside the artifact, so nothing says what it should compute; "
                "`edgevit convert` writes both"
            ) from None
        except OSError as e:
            raise ArtifactError(f"the card {file} cannot be read: {e.strerror}") from None
        except KeyError as e:
            raise ArtifactError(f"{file} is not an edgevit card: it lacks {e}") from None
        except (ValueError, TypeError, AttributeError, InputError) as e:
            raise ArtifactError(f"{file} is not an edgevit card: {e}") from None
        if newer:
            raise ArtifactError(
                f"{file} has card schema {d['schema']}, this edgevit reads up to {SCHEMA}; a newer "
                "edgevit wrote it"
            )
        return card

    @property
    def precision(self) -> str:
        return str(self.recipe["precision"])


def card_of(artifact: Path) -> Path:
    """Where the card of an artifact lies."""
    return artifact.with_name(artifact.name + SUFFIX)
