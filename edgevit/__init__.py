"""edgevit: vision backbones as files that phones run fast, proved against float64 and measured."""

from pathlib import Path

_here = Path(__file__).parent
if not (_here / "converters").is_dir():  # a checkout: the two folders lie beside this one
    __path__.append(str(_here.parent))

__version__ = "0.1.0"
