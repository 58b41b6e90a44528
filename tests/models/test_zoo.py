"""The table of models tells the truth, and what is asked of a build is done or refused."""

import subprocess
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from edgevit.errors import InputError, UnknownName, WeightsError
from edgevit.models import MODELS, build
from edgevit.models.zoo import own_net
from edgevit.weights import digest


@pytest.mark.parametrize("name", MODELS)
def test_the_table(name):
    entry = MODELS[name]
    with torch.device("meta"):
        if entry.timm_name is None:
            module, side = own_net(name), 224
        else:
            module = timm.create_model(entry.timm_name)
            side = timm.data.resolve_model_data_config(module)["input_size"][1]
        image = torch.zeros(1, 3, side, side)
        assert module.eval()(image).shape == (1, 1000)
    millions = sum(p.numel() for p in module.parameters()) / 1e6
    assert entry.parameters_m == pytest.approx(millions, rel=0, abs=0.00050001)
    assert entry.input_px == side
    assert (entry.source == "edgevit") == (entry.timm_name is None)
    assert entry.about


def test_listing_imports_no_heavy_package():
    code = (
        "import sys, edgevit.models as m; "
        "sys.exit(not m.MODELS or bool({'torch', 'timm', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "px", "crop"),
    [
        ("efficientmod_xxs", 224, 0.9),
        ("mobilenetv2_100", 224, 0.875),
        ("fastvit_t8", 256, 0.9),
        ("deit_tiny", 224, 0.9),
        ("timm:test_vit.r160_in1k", 160, 0.95),
    ],
)
def test_built_ready_for_export(name, px, crop):
    model = build(name)
    assert model.name == name
    assert [tuple(t.shape) for t in model.inputs] == [(1, 3, px, px)]
    assert (model.preprocess.height, model.preprocess.crop_fraction) == (px, crop)
    assert not any(m.training for m in model.module.modules())
    assert not any(p.requires_grad for p in model.module.parameters())
    out = model.module(*model.inputs)
    assert out.dtype == torch.float32
    assert out.shape == (1, 1000)
    assert torch.isfinite(out).all()
    assert model.sources == ()


@pytest.mark.parametrize("name", ["efficientmod_xxs", "mobilenetv2_100"])
def test_seeds(name):
    state = torch.get_rng_state()
    one, again, other = build(name), build(name), build(name, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert digest(one.module) == digest(again.module) != digest(other.module)
    assert torch.equal(one.inputs[0], again.inputs[0])
    assert not torch.equal(one.inputs[0], other.inputs[0])


@pytest.mark.parametrize(
    "name", ["efficientmod_xxs", "mobilenetv2_100", "deit_tiny", "efficientformerv2_s0"]
)
def test_classes_and_size(name):
    model = build(name, num_classes=7, input_size=160)
    assert model.inputs[0].shape == (1, 3, 160, 160)
    assert (model.preprocess.height, model.preprocess.width) == (160, 160)
    assert model.module(*model.inputs).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("efficientformer_l1", 192, "must match the size"),
        ("convnext_tiny", 16, "Kernel size can't be greater"),
        ("deit_tiny", 8, "deit_tiny"),
    ],
)
def test_a_size_the_model_refuses(name, size, reason):
    with pytest.raises(InputError, match=reason) as e:
        build(name, input_size=size)
    assert "\n" not in str(e.value)


def test_unknown_names():
    with pytest.raises(UnknownName, match="unknown model 'efficientmod_xss'; did you mean"):
        build("efficientmod_xss")
    with pytest.raises(UnknownName, match="timm has it: write 'timm:resnet18'"):
        build("resnet18")
    with pytest.raises(UnknownName, match=r"unknown timm model 'resnet81'; .*'resnet18'"):
        build("timm:resnet81")
    with pytest.raises(UnknownName, match=r"did you mean .*'resnet18.a1_in1k'"):
        build("timm:resnet18.a1_in2k")


def test_senseless_values(tmp_path):
    for values in ({"num_classes": 0}, {"input_size": -1}):
        with pytest.raises(InputError, match="give at least 1"):
            build("mobilenetv2_100", **values)
    with pytest.raises(InputError, match="exclude each other"):
        build("mobilenetv2_100", weights=tmp_path / "a", pretrained=True)


def test_weights(tmp_path):
    theirs = build("efficientmod_xxs", num_classes=5, seed=3).module
    file = tmp_path / "a.safetensors"
    save_file(theirs.state_dict(), file)
    ours = build("efficientmod_xxs", num_classes=5, weights=file).module
    assert digest(ours) == digest(theirs)
    with pytest.raises(WeightsError, match="num_classes=5"):
        build("efficientmod_xxs", weights=file)


def test_pretrained(monkeypatch):
    with pytest.raises(InputError, match=r"on no hub.*--weights FILE"):
        build("efficientmod_xxs", pretrained=True)

    def offline(name, *, pretrained, **options):
        assert pretrained
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match=r"could not be fetched \(no route to host\); check") as e:
        build("mobilenetv2_100", pretrained=True)
    assert "\n" not in str(e.value)
