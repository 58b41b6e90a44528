"""SHA-256 of files and folders."""

import hashlib
from functools import cache
from pathlib import Path


def of(path: Path) -> str:
    """Hex digest of a file's bytes, or of a folder's relative paths and their files' bytes."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = (f"{f.relative_to(path)}\0{of(f)}\n" for f in sorted(path.rglob("*")) if f.is_file())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


@cache
def of_edgevit() -> str:
    """Digest of this package's own source: a changed edgevit trusts no earlier result."""
    package = Path(__file__).parent
    folders = [package, package.parent / "converters"]  # the latter: a checkout
    files = sorted(f for folder in folders for f in folder.rglob("*.py"))
    return hashlib.sha256("".join(of(f) for f in files).encode()).hexdigest()
