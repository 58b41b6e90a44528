"""edgevit's own code as a machine that has none of it gets it: a zip laid out as a wheel is.

Only what a board runs is Python, so that tables, pictures and pages stay here.
"""

import io
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path

_SIBLINGS = ("converters", "profiles")  # beside this package in a checkout, inside it in a wheel


def files() -> dict[str, Path]:
    """Name in the zip → file."""
    package = Path(__file__).parent
    places = {"edgevit": package}
    places |= {
        f"edgevit/{name}": package.parent / name
        for name in _SIBLINGS
        if not (package / name).is_dir()
    }
    found = {
        f"{name}/{file.relative_to(place).as_posix()}": file
        for name, place in places.items()
        for file in place.rglob("*.py")
    }
    return dict(sorted(found.items()))


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files().items():
            archive.write(file, name)
    return packed.getvalue()


@cache
def digest() -> str:
    """Of all files; equal on two machines that run the same code."""
    sums = (f"{name}\0{sha256(file.read_bytes()).hexdigest()}\n" for name, file in files().items())
    return sha256("".join(sums).encode()).hexdigest()
