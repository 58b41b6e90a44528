"""Layer norms that became batch norms: what they compute, what it costs, and that they fold."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from edgevit.cli import cli
from edgevit.converters.artifact import Artifact
from edgevit.converters.reparameterize import reparameterize
from edgevit.errors import InputError, WeightsError
from edgevit.preprocess import Preprocess
from edgevit.transforms.finetune import finetune
from edgevit.transforms.fold_norms import calibrate, drop_layers, foldable, norms_of

C = 6
NET = """
import timm, torch
from edgevit.preprocess import Preprocess

def net():
    torch.manual_seed(0)
    net = timm.models.vision_transformer.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=48, depth=2, num_heads=3, num_classes=10,
        class_token=False, global_pool="avg")
    net.preprocess = Preprocess(16, 16, crop_fraction=1.0, mean=(0.305,) * 3, std=(0.34,) * 3)
    return net
"""


class Maps(nn.Module):
    """A norm over the channels of maps, as ConvNeXt writes it, and one of tokens behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = LayerNorm(C), nn.LayerNorm(C)
        self.conv, self.linear = nn.Conv2d(C, C, 1), nn.Linear(C, C)

    def forward(self, x):
        x = self.conv(self.first(x)).relu()
        return self.linear(self.second(x.permute(0, 2, 3, 1)))


class LayerNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels) + 0.5)
        self.bias = nn.Parameter(torch.randn(channels))

    def forward(self, x):
        u = x.mean(1, keepdim=True)
        y = (x - u) / torch.sqrt((x - u).pow(2).mean(1, keepdim=True) + 1e-5)
        return self.weight[:, None, None] * y + self.bias[:, None, None]


def test_calibrated_norms_are_the_nearest_ones_and_fold():
    torch.manual_seed(0)
    net, x = Maps().eval(), torch.randn(64, C, 5, 5) * 2 + 1
    made = foldable(net, keep=True)
    assert {path: norm.axis for path, norm in norms_of(made).items()} == {"first": 1, "second": -1}
    calibrate(made, x)
    norm = made.first
    with torch.no_grad():
        rows = x.movedim(1, 0).flatten(1)
        aim, found = (f(x).movedim(1, 0).flatten(1) for f in (net.first, norm))
    for a, b, y in zip(rows, aim, found, strict=True):
        slope, start = np.polyfit(a.double(), b.double(), 1)
        np.testing.assert_allclose(y, slope * a + start, atol=1e-4)
    drop_layers(made)
    folded = reparameterize(made, [x[:1]]).report
    assert (folded.before.batch_norms, folded.after.batch_norms, folded.left) == (2, 0, ())
    assert folded.error_float64 < 1e-13


def test_a_net_whose_tokens_are_alike_loses_nothing():
    """All tokens of one variance and mean: there a layer norm is a scale and a shift itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.LayerNorm(C), nn.Linear(C, 3)).eval()
    token = torch.randn(C)
    x = torch.stack([token[torch.randperm(C)] for _ in range(200)])
    made = foldable(net, keep=True)
    calibrate(made, x)
    torch.testing.assert_close(made(x), net(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Sequential(nn.Linear(C, C)).eval(), "no layer norm over channels"),
        (nn.Sequential(nn.LayerNorm((5, C))).eval(), "no layer norm over channels"),
        (nn.Sequential(nn.LayerNorm(C)), "training mode: call .eval"),
    ],
)
def test_what_cannot_be_replaced_is_refused(net, said):
    with pytest.raises(InputError, match=said):
        foldable(net)


def test_a_norm_in_two_places_is_refused_by_name():
    norm = nn.LayerNorm(C)
    made = foldable(nn.Sequential(norm, nn.Linear(C, C), norm).eval(), keep=True)
    with pytest.raises(InputError, match=r"norm 0 is used at 2 places.*one set of statistics"):
        calibrate(made, torch.randn(9, C))


def trained(net, checkpoint, *, stop=None, ema=0.0):
    x, y = torch.randn(32, C, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3

    def batches(epoch):
        if epoch == stop:
            raise KeyboardInterrupt
        for i in torch.arange(32).split(8):
            yield x[i], y[i]

    finetune(net, batches, steps=4, epochs=3, rate=1e-2, ema=ema, checkpoint=checkpoint)
    return net


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(C, C), nn.BatchNorm1d(C), nn.Dropout(0.2), nn.Linear(C, 3)
    ).eval()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_training_goes_on_from_its_checkpoint_to_the_same_numbers(tmp_path, ema):
    file = tmp_path / "kept.safetensors"
    whole = trained(small(), None, ema=ema)
    with pytest.raises(KeyboardInterrupt):
        trained(small(), file, stop=2, ema=ema)
    resumed = trained(small(), file, ema=ema)
    assert not resumed.training
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(InputError, match=r"is of a fine-tuning with .*remove it"):
        finetune(small(), lambda epoch: [], steps=9, epochs=3, checkpoint=file)
    save_file({"a": torch.ones(1)}, file)
    with pytest.raises(WeightsError, match="no checkpoint of a fine-tuning"):
        trained(small(), file)


def test_the_average_of_the_weights_is_what_comes_out():
    seen, net, batch = [], nn.Linear(C, 3), (torch.randn(8, C), torch.arange(8) % 3)

    def see(*_):
        seen.append(net.weight.detach().clone())

    settings = {"steps": 9, "epochs": 1, "rate": 0.1, "ema": 0.8}
    finetune(net, lambda epoch: [batch] * 9, before_step=see, told=see, **settings)
    after_each = seen[1:10]  # before the first step, after each of nine, the average
    mean = after_each[0]
    for i, weights in enumerate(after_each):
        keep = min(0.8, 1 - max(1, i) ** (-2 / 3))
        mean = keep * mean + (1 - keep) * weights
    assert len(seen) == 11
    assert not torch.allclose(net.weight, after_each[-1])
    torch.testing.assert_close(net.weight, mean)


def test_nothing_to_train_towards():
    with pytest.raises(InputError, match="neither labels nor a teacher"):
        finetune(small(), lambda epoch: [(torch.randn(4, C), None)], steps=1, epochs=1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A ViT that reads digits: its file, its weights, and pictures in a folder for each class."""
    from sklearn.datasets import load_digits

    folder, data = tmp_path_factory.mktemp("digits"), load_digits()
    (folder / "net.py").write_text(NET)
    space = {}
    exec(NET, space)
    net = space["net"]()
    prepare: Preprocess = net.preprocess
    images = [Image.fromarray((a * 255 / 16).round().astype(np.uint8)) for a in data.images]
    for i, (image, label) in enumerate(zip(images, data.target, strict=True)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{i:04}.png")
    xs = torch.from_numpy(np.concatenate([prepare.apply(image) for image in images]))
    ys = torch.from_numpy(data.target)
    in_folders = np.argsort(data.target, kind="stable")
    seen = torch.from_numpy(np.delete(in_folders, np.s_[4::5]))  # the others `rep` holds out

    def batches(epoch):
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(epoch))
        return ((xs[i], ys[i]) for i in seen[order].split(32))

    finetune(net, batches, steps=45, epochs=8, rate=3e-3)
    save_file(net.state_dict(), folder / "net.safetensors")
    return folder


@pytest.mark.needs("onnxruntime", "onnxscript")
def test_digits_before_calibrated_tuned_and_in_a_file(digits, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    net, data = f"{digits}/net.py:net", f"{digits}/pictures"
    words = ["rep", net, "--weights", f"{digits}/net.safetensors", "--norms", "batch"]
    found = CliRunner().invoke(
        cli, [*words, "--data", data, "--epochs", "6", "--rate", "3e-3", "-o", "out", "--json"]
    )
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    cost, folding = document["norms"], document["folding"]
    before, calibrated, tuned = cost["right"]
    assert before > 0.93
    assert calibrated < before - 0.1
    assert tuned > before - 0.05
    assert (cost["norms"], folding["after"]["batch_norms"], folding["left"]) == (5, 0, [])

    words = ["convert", net, "--norms", "batch", "--weights", cost["weights"], "--to", "onnx"]
    made = CliRunner().invoke(cli, [*words, "-o", "files"])
    assert made.exit_code == 0, made.output
    artifact = Artifact.read(tmp_path / "files" / "net-batchnorm.onnx")
    assert artifact.card.model["norms"].startswith("5 layer norms → batch norms: another function")
    assert "LayerNorm" not in artifact.path.read_bytes().decode("latin1")
    prepare = Preprocess.from_dict(artifact.card.preprocess)
    pictures = sorted((digits / "pictures").glob("*/*.png"))[4::5]
    with artifact.open() as session:
        answers = [session(prepare.apply(p))[0].argmax() for p in pictures]
    right = np.mean([a == int(p.parent.name) for a, p in zip(answers, pictures, strict=True)])
    assert right == pytest.approx(tuned, abs=1e-9)


def test_changed_norms_without_their_weights_are_refused():
    found = CliRunner().invoke(cli, ["convert", "deit_tiny", "--norms", "batch", "--to", "onnx"])
    assert "edgevit rep MODEL --norms batch --data DIR" in str(found.exception)
