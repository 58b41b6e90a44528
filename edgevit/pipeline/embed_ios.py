"""An artifact as a Swift package, of the sources in edgevit/swift, which nothing here compiles."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..converters.card import Card
from ..errors import InputError

OWN = "EdgevitEmbedded"  # the module's name in our sources
SWIFT = Path(__file__).parent.parent / "swift"
MACOS = {15: 12, 16: 13, 17: 14, 18: 15}  # the macOS of an iOS's year: it has the same Core ML


class IOS:
    name = "iOS"
    targets: Sequence[str] = ("coreml",)
    package = OWN

    def check(self, package: str) -> None:
        if not re.fullmatch("[A-Z][A-Za-z0-9]*", package):
            raise InputError(
                f"{package!r} is no module for Swift: give letters and digits, the first a capital "
                "one, such as BirdModel"
            )

    def places(self, package: str) -> tuple[str, str]:
        return f"Sources/{package}/artifact", f"Tests/{package}Tests"

    def sources(self, card: Card, artifact: str, package: str) -> Mapping[str, str]:
        made = {}
        for file in sorted(SWIFT.glob("*.swift")):
            text = file.read_text(encoding="utf-8").replace(OWN, package)
            place = f"Sources/{package}/"
            if file.stem == "Package":
                place, text = "", _deployed(text, int(card.recipe["ios"]))
            elif file.stem.endswith("Test"):
                place = f"Tests/{package}Tests/"
            made[place + file.name] = text
        return made | {"README.md": _readme(card, artifact, package)}


def _deployed(text: str, ios: int) -> str:
    """Package.swift for the oldest iOS that the artifact is for."""
    wanted = f'platforms: [.iOS("{ios}.0"), .macOS("{MACOS[ios]}.0")]'
    return re.sub(r"platforms: \[.*\]", wanted, text)


def _readme(card: Card, artifact: str, package: str) -> str:
    return f"""\
# {artifact} in an iOS app

{card.recipe["model"]} in {card.precision}, its card, and Swift that runs it: by `edgevit embed`.

1. Copy this folder beside the project; in Xcode: File, Add Package Dependencies, Add Local
2. Add the library `{package}` to the app's target
3. Off the main thread, with `import {package}`, once: `let classifier = try Classifier()`
4. For each picture: `let scores = try classifier.classify(Pixels(data: jpeg))`, or
   `Pixels(image: cgImage)` of an upright one; each score has `label` and `probability`
5. `xcodebuild test`, or `swift test` on a Mac, holds the scores of golden.png on the CPU against
   those that edgevit computed from this package, within the card's tolerance.

**Unbuilt:** no Swift compiler and no Mac took part in edgevit's tests. The Swift was read by a
grammar, which finds errors of syntax and nothing else.
"""
