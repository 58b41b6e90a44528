"""Recipe: everything the user chose that decides what an artifact computes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from .errors import InputError
from .lookup import lookup

# fp16 and below: activations in fp16; w8 and below: weights in so many bits.
PRECISIONS = dict.fromkeys(("fp32", "fp16", "w8", "w6", "w4", "w4-sparse"))
IOS = range(15, 19)


@dataclass(frozen=True)
class Recipe:
    """model: a name, or PATH.py:CALLABLE. input_size: pixels. ios: oldest iOS for Core ML.

    rewrites: names of the graph rewrites to apply; None for those that pay on the target, by the
    file `costs` or else by edgevit's own measurements; () for none.
    """

    model: str
    weights: str | None = None
    pretrained: bool = False
    num_classes: int | None = None
    input_size: int | None = None
    seed: int = 0
    embed_preprocess: bool = False
    precision: str = "fp32"
    ios: int = 17
    rewrites: tuple[str, ...] | None = None
    costs: str | None = None

    def __post_init__(self) -> None:
        lookup("precision", self.precision, PRECISIONS)
        if self.ios not in IOS:
            raise InputError(f"iOS {self.ios} is not one of {IOS[0]} to {IOS[-1]}")
        for name, value in (("num_classes", self.num_classes), ("input_size", self.input_size)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")
        if self.pretrained and self.weights:
            raise InputError("--pretrained and --weights exclude each other: choose one")

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        rewrites = d["rewrites"]  # a list in JSON
        chosen = {f.name: d[f.name] for f in fields(cls)}
        return cls(**chosen | {"rewrites": rewrites if rewrites is None else tuple(rewrites)})

    def absolute(self) -> Self:
        """The same with full paths, so that a card leads to its model from any folder."""
        file, weights = self.user_file, self.weights
        name = self.model.rpartition(":")[2]
        return replace(
            self,
            model=f"{file.absolute()}:{name}" if file else self.model,
            weights=str(Path(weights).absolute()) if weights else None,
            costs=str(Path(self.costs).absolute()) if self.costs else None,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def title(self) -> str:
        """What the artifact is called: the model's name without what a file name cannot carry."""
        place, colon, name = self.model.rpartition(":")
        return (
            name if colon and (place == "timm" or place.endswith(".py")) else self.model
        ).replace("/", "_")

    @property
    def stem(self) -> str:
        return self.title if self.precision == "fp32" else f"{self.title}-{self.precision}"

    @property
    def user_file(self) -> Path | None:
        """The user's Python file, when the model is one."""
        place, _, _ = self.model.rpartition(":")
        return Path(place) if place.endswith(".py") else None
