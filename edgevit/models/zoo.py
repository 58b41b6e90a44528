"""The models edgevit vouches for, as a table that costs nothing to list, and how they are built."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgevit.errors import InputError, UnknownName, first_line
from edgevit.lookup import unknown
from edgevit.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .model import Model


@dataclass(frozen=True)
class Entry:
    """A row: parameters in millions with 1000 classes, the side of the input in pixels."""

    name: str
    source: Literal["edgevit", "timm"]
    timm_name: str | None
    parameters_m: float
    input_px: int
    about: str


@dataclass(frozen=True)
class Asked:
    """What the caller of `build` asked for; None leaves it to the model."""

    pretrained: bool
    num_classes: int | None
    input_size: int | None
    seed: int


def _own(name: str, parameters_m: float, about: str) -> Entry:
    return Entry(name, "edgevit", None, parameters_m, 224, about)


def _timm(
    name: str, parameters_m: float, about: str, *, px: int = 224, timm_name: str | None = None
) -> Entry:
    return Entry(name, "timm", timm_name or name, parameters_m, px, about)


_CONV = "convolutions only"
_BRANCHES = "convolutions, training-time branches"
_HYBRID = "convolutions and attention"
_ROWS = (
    _own("efficientmod_xxs", 4.736, "modulation, a few attention blocks"),
    _own("efficientmod_xs", 6.628, "modulation, a few attention blocks"),
    _own("efficientmod_s", 12.897, "modulation, a few attention blocks"),
    _own("efficientmod_s_conv", 12.872, "modulation only"),
    _own("edgevit_xxs", 4.068, "convolutions, attention among delegates"),
    _own("edgevit_xs", 6.770, "convolutions, attention among delegates"),
    _own("edgevit_s", 13.108, "convolutions, attention among delegates"),
    _own("mobileformer_508m", 14.792, "MobileNet and six tokens, side by side"),
    _timm("mobilenetv2_100", 3.505, _CONV),
    _timm("mobilenetv2_140", 6.109, _CONV),
    _timm("mobilenetv4_conv_small", 3.774, _CONV),
    _timm("efficientnet_b0", 5.289, "convolutions, squeeze-and-excitation"),
    _timm("convnext_tiny", 28.589, "7×7 depthwise, LayerNorm"),
    _timm("fasternet_t0", 3.906, "partial convolutions"),
    _timm("fasternet_t1", 7.595, "partial convolutions"),
    _timm("fasternet_t2", 14.983, "partial convolutions"),
    _timm("starnet_s1", 2.869, "7×7 depthwise, products"),
    _timm("mobileone_s1", 4.825, _BRANCHES),
    _timm("mobileone_s2", 7.885, _BRANCHES),
    _timm("mobileone_s4", 14.951, _BRANCHES),
    _timm("repvit_m0_9", 5.489, _BRANCHES),
    _timm("fastvit_t8", 4.026, "training-time branches, large kernels", px=256),
    _timm("poolformer_s12", 11.915, "pooling as token mixer"),
    _timm("mobilevit_xs", 2.318, _HYBRID, px=256),
    _timm("mobilevitv2_100", 4.902, "convolutions and linear attention", px=256),
    _timm("mobilevitv2_150", 10.595, "convolutions and linear attention", px=256),
    _timm("swiftformer_xs", 3.475, "convolutions and additive attention"),
    _timm("shvit_s1", 6.331, "single-head attention"),
    _timm("efficientformer_l1", 12.290, _HYBRID),
    _timm("efficientformerv2_s0", 3.600, _HYBRID),
    _timm("efficientformerv2_s1", 6.186, _HYBRID),
    _timm("efficientformerv2_s2", 12.710, _HYBRID),
    _timm("deit_tiny", 5.717, "plain transformer", timm_name="deit_tiny_patch16_224"),
    _timm("deit_tiny_distilled_patch16_224", 5.911, "plain transformer, two class tokens"),
    _timm("deit_small", 22.051, "plain transformer", timm_name="deit_small_patch16_224"),
    _timm("vit_small", 22.051, "plain transformer", timm_name="vit_small_patch16_224"),
)
MODELS: dict[str, Entry] = {row.name: row for row in _ROWS}


def build_own(name: str, *, asked: Asked) -> "Model":
    from .model import Model

    if asked.pretrained:
        raise InputError(
            f"the weights of {name} are on no hub; download the authors' checkpoint and give it "
            "with --weights FILE"
        )
    size = asked.input_size or 224
    module = own_net(name, classes=asked.num_classes or 1000)
    crop_fraction = 0.9 if name.startswith("efficientmod") else 0.875
    preprocess = Preprocess(size, size, crop_fraction=crop_fraction)
    inputs = example((3, size, size), seed=asked.seed)
    if asked.input_size is not None:
        try_forward(module, inputs, name=name, input_size=asked.input_size)
    return Model(name, module, inputs, preprocess)


def own_net(name: str, *, classes: int = 1000) -> "nn.Module":
    """The module of a model whose code is ours, with torch's random weights."""
    from . import edgevit, efficientmod, mobileformer

    if name in edgevit.SHAPES:
        return edgevit.EdgeViT(edgevit.SHAPES[name], classes=classes)
    if name in mobileformer.SHAPES:
        return mobileformer.MobileFormer(mobileformer.SHAPES[name], classes=classes)
    return efficientmod.EfficientMod(efficientmod.SHAPES[name], classes=classes)


def build_timm(name: str, *, timm_name: str, asked: Asked) -> "Model":
    import timm

    from .model import Model

    base, _, tag = timm_name.partition(".")
    if not timm.is_model(base):
        raise UnknownName(unknown("timm model", timm_name, timm.list_models()))
    tagged = timm.list_pretrained(f"{base}.*") if tag else []
    if tag and timm_name not in tagged:
        raise UnknownName(unknown("timm model", timm_name, tagged or [base]))
    module = _create(timm_name, asked)
    config = dict(timm.data.resolve_model_data_config(module))
    if asked.input_size is not None:
        config["input_size"] = (config["input_size"][0], asked.input_size, asked.input_size)
    inputs = example(config["input_size"], seed=asked.seed)
    if asked.input_size is not None:
        try_forward(module, inputs, name=name, input_size=asked.input_size)
    return Model(name, module, inputs, Preprocess.from_timm(config))


def _create(timm_name: str, asked: Asked) -> "nn.Module":
    """timm's module for the size: transformers are built for one, convolutions take any."""
    import timm

    # timm drops what is None, and img_size is no argument of most convolutional models.
    sized = {"img_size": asked.input_size}
    options = {"pretrained": asked.pretrained, "num_classes": asked.num_classes}
    module: nn.Module
    try:
        try:
            module = timm.create_model(timm_name, **options, **sized)
        except TypeError as e:
            if asked.input_size is None or "img_size" not in str(e):
                raise
            module = timm.create_model(timm_name, **options)
    except Exception as e:  # a download fails with the errors of whatever library fetched it
        if asked.pretrained:
            raise InputError(
                f"the pretrained weights of {timm_name} could not be fetched ({first_line(e)}); "
                "check the network, or give a file with --weights FILE"
            ) from None
        said = f"input_size={asked.input_size}, num_classes={asked.num_classes}"
        raise InputError(f"timm cannot build {timm_name} with {said}: {first_line(e)}") from None
    return module


def example(shape: tuple[int, ...], *, seed: int) -> "tuple[Tensor]":
    """One normalised input of noise, [1, *shape], the same for the same seed."""
    import torch

    return (torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed)),)


def try_forward(
    module: "nn.Module", inputs: "tuple[Tensor, ...]", *, name: str, input_size: int
) -> None:
    """InputError with the model's own reason where it refuses this size."""
    import torch

    training = module.training
    try:
        with torch.no_grad():
            module.eval()(*inputs)
    except Exception as e:
        raise InputError(
            f"{name} refuses an input of {input_size}×{input_size} ({first_line(e)}); "
            "leave input_size out for the model's own"
        ) from None
    finally:
        module.train(training)
