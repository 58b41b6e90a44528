"""Recipe: everything the user chose that decides what an artifact computes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from .errors import InputError, UnknownName
from .lookup import lookup

# Weights and activations in fp32; products of 8-bit integers, activations quantized as they come
# (dyn8) or over ranges found beforehand (w8a8), all else in fp32; activations in fp16; weights in
# so many bits, and activations as the target computes best.
INTEGER = ("dyn8", "w8a8")
PRECISIONS = dict.fromkeys(("fp32", *INTEGER, "fp16", "w8", "w6", "w4", "w4-sparse"))
# Asked for, and not there: why, and what to take. Tried with ExecuTorch 1.4.1, LiteRT 2.3.0,
# onnxruntime 1.31.1 and coremltools 9.0: TFLite's two convolutions and a linear layer took 32 ms
# in place of 0.5 ms, outside XNNPACK; ONNX's 0.67 ms in place of 0.39 ms.
REFUSED = {
    "w8a16": "no runtime here gains by w8a16, 8-bit weights with 16-bit activations: XNNPACK, for "
    "ExecuTorch and TFLite, has no such kernels (TFLite's own are over 50 times as slow as fp32), "
    "onnxruntime unpacks it to fp32 kernels and Core ML quantizes activations to 8 bits only; take "
    "w8a8, with the blocks in fp32 that `edgevit quantize` finds, or w8"
}
SMALL = 2048  # a weight of so many numbers, or fewer, keeps its bits: nothing would be gained
FEWEST = 8  # channels that a convolution reads, for its products to be in 8 bits; or one alone
RANDOM = "random"  # noise, to calibrate with
NORMS = {"batch": None}  # what layer norms can be replaced by
IOS = range(15, 19)
# Only simulated, in so many bits: see converters/quantizers.py.
PAPERS = {
    "uniform": "even steps from the least to the largest value",
    "log2": "FQ-ViT, arXiv 2111.13824",
    "repq": "RepQ-ViT, arXiv 2212.08254",
    "isvit": "I&S-ViT, arXiv 2311.10126",
    "adalog": "AdaLog, arXiv 2407.12951",
}
BITS = {"4": 4, "6": 6, "8": 8}
# "prune0.6x", "tome13", "tome26..0", "tome[16,16,8]", "rep", "fp16", or some of them in this order.
_PRECISION = "|".join(sorted(PRECISIONS, reverse=True))  # w4-sparse before w4
# "13" in every block, "26..0" from the first to the last, or "[16,16,8]", in each.
SCHEDULE = r"\d+(?:\.\.\d+)?|\[\d+(?:,\d+)*\]"
Tome = int | tuple[int, ...] | str  # in memory, "26..0" as the word it is
# "0.6x", "latency=8ms", "macs=0.5x": what a pruned model may cost, of the whole one's or at most.
BUDGET = r"(?:(latency|macs|params)=)?(\d*\.?\d+)(x|ms)"
_WORDS = re.compile(
    rf"(?:prune(?P<prune>{BUDGET}))?(?:(?:^|-)tome(?P<r>{SCHEDULE}))?"
    rf"(?:(?:^|-)rep)?(?:(?:^|-)(?P<precision>{_PRECISION}))?"
)


@dataclass(frozen=True)
class Recipe:
    """model: a name, or PATH.py:CALLABLE. input_size: pixels. ios: oldest iOS for Core ML.

    norms: "batch" for layer norms replaced by batch norms, to which `weights` belong.
    tome: how many tokens merge in every block of a vision transformer, or in each of them, or
    "26..0", falling from the first to the last; strict: refuse more than can merge.
    calibrate: where usual inputs come from, at most `samples` of them; see calibration.py. By them
    weights in few bits are rounded, and over them w8a8 takes ranges, whose file is then held
    against the model on sixteen of them. keep: modules, by
    path, whose products stay in fp32 while 8-bit integers are the precision.
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
    norms: str | None = None
    tome: Tome | None = None
    strict: bool = False
    precision: str = "fp32"
    calibrate: str | None = None
    samples: int = 128
    keep: tuple[str, ...] = ()
    ios: int = 17
    rewrites: tuple[str, ...] | None = None
    costs: str | None = None

    def __post_init__(self) -> None:
        _refuse(self.precision)
        lookup("precision", self.precision, PRECISIONS)
        if isinstance(self.tome, str) and not re.fullmatch(SCHEDULE, self.tome):
            raise InputError(f"tome is {self.tome!r}: give a number, or a word such as 26..0")
        if self.norms is not None:
            lookup("norms", self.norms, NORMS)
            if not self.weights:
                raise InputError(
                    "--norms batch needs the --weights that were made for it: "
                    "`edgevit rep MODEL --norms batch --data DIR` makes them"
                )
        if self.precision == "w8a8" and not self.calibrate:
            raise InputError(
                "w8a8 takes the ranges of activations over inputs like those to come: give "
                "--calibrate a folder of pictures, a FILE.npy or FILE.py:FUNCTION; or dyn8, which "
                "needs none"
            )
        if self.ios not in IOS:
            raise InputError(f"iOS {self.ios} is not one of {IOS[0]} to {IOS[-1]}")
        for name, value in (("num_classes", self.num_classes), ("input_size", self.input_size)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")
        if self.pretrained and self.weights:
            raise InputError("--pretrained and --weights exclude each other: choose one")

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        lacking = dict.fromkeys(("tome", "norms", "calibrate"))  # in older cards
        since: dict[str, Any] = {**lacking, "strict": False, "samples": 128, "keep": (), **d}
        chosen = {f.name: since[f.name] for f in fields(cls)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()
        }
        return cls(**values)

    def absolute(self) -> Self:
        """The same with full paths, so that a card leads to its model from any folder."""
        file, weights = self.user_file, self.weights
        name, calibrate = self.model.rpartition(":")[2], self.calibrate
        if calibrate and calibrate != RANDOM:
            calibrate = str(Path(calibrate).absolute())
        return replace(
            self,
            model=f"{file.absolute()}:{name}" if file else self.model,
            weights=str(Path(weights).absolute()) if weights else None,
            costs=str(Path(self.costs).absolute()) if self.costs else None,
            calibrate=calibrate,
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON gives it back."""
        return {k: [*v] if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @property
    def title(self) -> str:
        """What the artifact is called: the model's name without what a file name cannot carry."""
        place, colon, name = self.model.rpartition(":")
        return (
            name if colon and (place == "timm" or place.endswith(".py")) else self.model
        ).replace("/", "_")

    @property
    def stem(self) -> str:
        """The file's name: the title, and what was done to the model."""
        counts = self.tome or () if isinstance(self.tome, tuple | None) else (self.tome,)
        words = ["batchnorm"] if self.norms else []
        words += ["tome" + "_".join(map(str, counts))] if counts else []
        words += [self.precision] if self.precision != "fp32" else []
        return "-".join([self.title, *words])

    @property
    def user_file(self) -> Path | None:
        """The user's Python file, when the model is one."""
        place, _, _ = self.model.rpartition(":")
        return Path(place) if place.endswith(".py") else None


def _refuse(precision: str) -> None:
    if precision in REFUSED:
        raise UnknownName(REFUSED[precision])


def chosen_by(words: str) -> dict[str, Any]:
    """The fields of a Recipe that `words` choose, in the order in which they are done.

    And "prune", a budget: pruning makes the weights that a recipe takes.
    """
    _refuse(words.rpartition("-")[2])
    found = _WORDS.fullmatch(words)
    if not found or not words:
        raise InputError(
            f"the recipe {words!r} is none: prune0.6x takes channels out until 0.6 of the latency "
            "is left (prunelatency=8ms, prunemacs=0.5x, pruneparams=0.5x); tome13 merges 13 tokens "
            "in every block, tome26..0 26 in the first down to none in the last, tome[16,8,8] as "
            "many in each; rep folds what only training needs, as is done unsaid, too; last comes "
            f"one of {', '.join(PRECISIONS)}. Any of them, in this order: tome13-fp16, "
            "prune0.6x-rep-w8a8"
        )
    chosen: dict[str, Any] = {"prune": found["prune"]} if found["prune"] else {}
    if r := found["r"]:
        chosen["tome"] = schedule_of(r)
    if found["precision"]:
        chosen["precision"] = found["precision"]
    return chosen


def schedule_of(word: str) -> Tome:
    """What a word of the form SCHEDULE says."""
    if ".." in word:
        return word
    counts = tuple(int(n) for n in word.strip("[]").split(","))
    return counts if "[" in word else counts[0]


def per_layer(r: int | str | Sequence[int], layers: int) -> list[int]:
    """How many tokens are to merge in each layer: r, r[i], or from the first to the last number
    of "26..0" evenly, each to the nearest integer. InputError for another length.
    """
    if isinstance(r, str):
        first, last = map(int, r.split(".."))
        step = (last - first) / max(layers - 1, 1)
        return [round(first + i * step) for i in range(layers)]
    wanted = [r] * layers if isinstance(r, int) else list(r)
    if len(wanted) != layers or min(wanted, default=0) < 0:
        raise InputError(
            f"r is {wanted}: give one number of 0 or more, or one for each of the {layers} layers"
        )
    return wanted
