"""Which versions take part in a conversion: they stand on the card and decide the cache."""

from importlib.metadata import PackageNotFoundError, version

from edgevit import __version__

from .target import find


def tools(target: str) -> dict[str, str]:
    """Versions of edgevit, torch, timm and the target's packages, without importing them."""
    names = ["torch", "timm", "numpy", *(n.replace("_", "-") for n in find(target).needs)]
    found = {"edgevit": __version__}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
