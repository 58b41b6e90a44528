"""An artifact as an Android library module, of the sources of edgevit's own app (android_demo/).

Nothing of it is written twice: the Kotlin is the app's, cut to one engine and moved into the
package that is asked for, and what Gradle is told stands in the app's Gradle file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..converters.card import Card
from ..errors import InputError
from .embed_gradle import app, gradle, no_compress

OWN = "org.edgevit.demo"  # the app's package
FILES = (
    "Card",
    "Classifier",
    "Engines",
    "Failure",
    "InferenceEngine",
    "Memory",
    "Picture",
    "Pixels",
    "Preprocess",
    "Resample",
    "Unpacked",
)
TEST = "src/embed/kotlin/org/edgevit/demo/GoldenTest.kt"
KEYWORDS = (  # of Kotlin, and of Java, in which R is written
    "as|break|class|continue|do|else|false|for|fun|if|in|interface|is|null|object|package|return|"
    "super|this|throw|true|try|typealias|typeof|val|var|when|while|abstract|assert|boolean|byte|"
    "case|catch|char|const|default|double|enum|extends|final|finally|float|goto|implements|import|"
    "instanceof|int|long|native|new|private|protected|public|short|static|strictfp|switch|"
    "synchronized|throws|transient|void|volatile"
)


@dataclass(frozen=True)
class Engine:
    """source: of the app. library: what its Gradle file depends on for it.

    by_name: the classes that the library's native code looks up. ran: what our tests do with it.
    """

    source: str
    library: str
    by_name: tuple[str, ...]
    ran: str


RAN = (
    "edgevit's tests compile these sources and run GoldenTest with them on a JVM, by\n{}. "
    "On a phone, nothing of this has run yet; and no Gradle\nhas read the Gradle file."
)
ENGINES = {
    "tflite": Engine(
        "src/main/kotlin/org/edgevit/demo/TfliteEngine.kt",
        "com.google.ai.edge.litert:litert",
        ("org.tensorflow.lite.**",),
        RAN.format("TFLite's x86_64 library for Android"),
    ),
    "onnx": Engine(
        "src/main/kotlin/org/edgevit/demo/OnnxEngine.kt",
        "com.microsoft.onnxruntime:onnxruntime-android",
        ("ai.onnxruntime.**",),
        RAN.format("ONNX Runtime's desktop library"),
    ),
    "executorch": Engine(
        "src/executorch/kotlin/org/edgevit/demo/ExecutorchEngine.kt",
        "org.pytorch:executorch-android",
        ("org.pytorch.executorch.**", "com.facebook.jni.**"),
        "**ExecutorchEngine.kt was never compiled against ExecuTorch's own library, and never\n"
        "run**: only against signatures written by hand. And no Gradle has read the Gradle file.",
    ),
}


class Android:
    name = "Android"
    targets: Sequence[str] = tuple(ENGINES)
    package = "org.edgevit.embedded"

    def check(self, package: str) -> None:
        parts = package.split(".")
        if len(parts) < 2 or not all(re.fullmatch("[a-z][a-z0-9_]*", part) for part in parts):
            raise InputError(
                f"{package!r} is no package for Android: give two or more words of small letters, "
                "digits and _ with dots between, such as com.example.vision"
            )
        if words := [part for part in parts if re.fullmatch(KEYWORDS, part)]:
            raise InputError(
                f"{package!r} is no package: {words[0]} is a word of Kotlin or Java; take another"
            )

    def places(self, package: str) -> tuple[str, str]:
        return "src/main/assets/artifacts", f"src/androidTest/resources/{_path(package)}"

    def sources(self, card: Card, artifact: str, package: str) -> Mapping[str, str]:
        engine = ENGINES[card.target]
        kotlin = [f"src/main/kotlin/{_path(OWN)}/{name}.kt" for name in FILES] + [engine.source]
        made = {
            f"src/main/kotlin/{_path(package)}/{Path(name).name}": moved(name, card.target, package)
            for name in kotlin
        }
        test = f"src/androidTest/kotlin/{_path(package)}/GoldenTest.kt"
        rules = "".join(f"-keep class {name} {{ *; }}\n" for name in engine.by_name)
        return made | {
            test: moved(TEST, card.target, package),
            "build.gradle.kts": gradle(engine.library, artifact, package),
            "consumer-rules.pro": rules,
            "README.md": _readme(engine, card, artifact, package),
        }


def moved(source: str, target: str, package: str) -> str:
    """A source of the app in another package, with the engine of one target only."""
    text = (app() / source).read_text(encoding="utf-8")
    others = "|".join(name for name in ENGINES if name != target)
    if Path(source).name == "Engines.kt":
        text = re.sub(rf'^ +"({others})" -> .*\n', "", text, flags=re.MULTILINE)
    return text.replace(OWN, package)


def _path(package: str) -> str:
    return package.replace(".", "/")


def _readme(engine: Engine, card: Card, artifact: str, package: str) -> str:
    return f"""\
# {artifact} in an Android app

{card.recipe["model"]} in {card.precision}, its card, and Kotlin that runs it: by `edgevit embed`.

1. Copy this folder into the project as `model`; in settings.gradle.kts: `include(":model")`
2. In the app's build.gradle.kts, `dependencies`: `implementation(project(":model"))`
3. There too, `android`: `{no_compress(artifact)}`
4. Off the main thread, with `import {package}.*`:
   ```kotlin
   val classifier = Classifier(unpacked(context, "artifacts/{artifact}"))
   val picture = readPicture {{ contentResolver.openInputStream(uri) }}.pixels
   // or pixelsOf(bitmap)
   classifier.classify(picture).top.forEach {{ println("${{it.label}} ${{it.probability}}") }}
   ```
5. `./gradlew :model:connectedAndroidTest` holds the scores of golden.png on a phone against
   those that the artifact computed in its own runtime, within its card's tolerance.

{engine.ran}
"""
