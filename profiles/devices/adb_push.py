"""Artifacts on the phone, named by their digest: what is there already is not sent again.

A list of what was sent lies beside them, so that what a cut cable left there is known, and removed
when the phone is next used.
"""

from collections.abc import Sequence
from shlex import quote

from edgevit import digest
from edgevit.errors import DeviceError

from ..variant import Item
from .adb_link import Link, cure

SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx", "executorch": ".pte"}  # what the app runs
SENT = "artifacts/sent.txt"  # what was sent, one a line


class Shelf:
    """The folder `artifacts` in `files`, with what this session put there."""

    def __init__(self, link: Link, files: str) -> None:
        self._link, self._files = link, files
        self._sent: list[str] = []
        self._made = False

    def name(self, item: Item) -> str:
        """Its place, relative to `files`."""
        return f"artifacts/{item.sha256 or digest.of(item.file)}{SUFFIXES[item.target]}"

    def sweep(self, job: str) -> None:
        """Make the folders, `job` among them; remove what an interrupted session left."""
        files = quote(self._files)
        if not self._made:
            self._link.run(
                f"cd {files} 2>/dev/null && [ -f {SENT} ] && "
                f'while read -r name; do rm -f "artifacts/${{name##*/}}"; done < {SENT}; '
                f"rm -rf {files}/jobs {files}/{SENT}"
            )
        self._made = True
        code, said = self._link.run(f"mkdir -p {files}/artifacts {quote(job)}")
        if code:
            raise DeviceError(
                f"{self._link.serial} makes no folder for the app's jobs ({' '.join(said.split())})"
                f"{cure(said) or '; open the app on it once'}"
            )

    def put(self, items: Sequence[Item]) -> list[str]:
        """The items' names there, after sending those that are missing or differ."""
        wanted = {self.name(item): item for item in items}
        missing = [name for name in wanted if not self._holds(name)]
        self._sent += missing
        listed = "".join(f"{name}\n" for name in self._sent)
        self._link.push(listed.encode(), f"{self._files}/{SENT}")
        for name in missing:
            self._link.push(wanted[name].file, f"{self._files}/{name}")
            if not self._holds(name):
                raise DeviceError(
                    f"{wanted[name].label} arrived damaged on {self._link.serial}: try another "
                    "cable or port"
                )
        return list(map(self.name, items))

    def clear(self) -> None:
        """Remove what this session sent, and the folders, unless there is more in them."""
        if self._made:
            names = " ".join(map(quote, self._sent))
            self._link.run(f"cd {quote(self._files)} && rm -f {names} {SENT}; rmdir jobs artifacts")
            self._sent.clear()

    def _holds(self, name: str) -> bool:
        code, said = self._link.run(f"sha256sum {quote(f'{self._files}/{name}')}", timeout_s=300)
        return not code and name.startswith(f"artifacts/{said.split()[0]}.")
