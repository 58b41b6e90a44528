"""edgevit: vision backbones as files that phones run fast, proved against float64 and measured.

from edgevit import convert, explain, locate, profile, verify

convert("efficientmod_xxs", to=["executorch", "onnx"], out="out")
convert("my_net", model=(net, (image, mask)), to=["tflite"], out="out")   # any nn.Module
print(explain("out/efficientmod_xxs.pte").summary)    # what runs outside the delegate, and why
print(locate("out/my_net.tflite.rejected", model=(net, (image, mask))))   # the module at fault
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

_here = Path(__file__).parent
if not (_here / "converters").is_dir():  # a checkout: the two folders lie beside this one
    __path__.append(str(_here.parent))

__version__ = "0.1.0"
__all__ = [
    "Artifact",
    "Recipe",
    "convert",
    "explain",
    "locate",
    "profile",
    "reparameterize",
    "scan",
    "verify",
]

if TYPE_CHECKING:
    from .converters.artifact import Artifact
    from .converters.reparameterize import reparameterize
    from .pipeline.convert import convert
    from .pipeline.explain import explain
    from .pipeline.profile import profile
    from .pipeline.scan import scan
    from .pipeline.verify import locate, verify
    from .recipe import Recipe

_PLACES = {
    "Artifact": ".converters.artifact",
    "Recipe": ".recipe",
    "convert": ".pipeline.convert",
    "explain": ".pipeline.explain",
    "locate": ".pipeline.verify",
    "profile": ".pipeline.profile",
    "reparameterize": ".converters.reparameterize",
    "scan": ".pipeline.scan",
    "verify": ".pipeline.verify",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: `edgevit --help` should not wait for numpy."""
    if name not in _PLACES:
        raise AttributeError(f"module 'edgevit' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name], __name__), name)
