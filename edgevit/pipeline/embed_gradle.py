"""What Gradle is told of an embedded artifact: a library module of lines of edgevit's own app."""

import re
from functools import cache
from pathlib import Path

TEST_RUNNER = "androidx.test:runner:1.7.0"  # with monitor 1.8.0, which the app's tests have


@cache
def app() -> Path:
    """The app's folder: beside us in a wheel, above us in a checkout."""
    package = Path(__file__).parent.parent
    return next(
        folder / "android_demo"
        for folder in (package, package.parent)
        if (folder / "android_demo/build.gradle.kts").is_file()
    )


def _line(pattern: str) -> str:
    """The line of the app's Gradle file, whose versions are those that were chosen for it."""
    gradle = (app() / "build.gradle.kts").read_text(encoding="utf-8")
    found = re.search(rf"^ *({pattern})", gradle, re.MULTILINE)
    assert found is not None, pattern
    return found[1]


def gradle(library: str, artifact: str, package: str) -> str:
    return f"""\
// A library module. Which Kotlin and Android plugin, the project says; edgevit's own app has
// {_version("com.android.application")} and Kotlin {_version("org.jetbrains.kotlin.android")}.
plugins {{
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}}

android {{
    namespace = "{package}"
    {_line(r"compileSdk = [0-9]+")}
    defaultConfig {{
        {_line(r"minSdk = [0-9]+")}
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        consumerProguardFiles("consumer-rules.pro") // what native code looks up by name
    }}
    {no_compress(artifact)}
    compileOptions {{
        {_line(r"sourceCompatibility = .+")}
        {_line(r"targetCompatibility = .+")}
    }}
}}

kotlin {{
    {_line(r"compilerOptions .+")}
}}

dependencies {{
    {_line(rf'implementation."{re.escape(library)}:[^"]+".')}
    androidTestImplementation("{TEST_RUNNER}")
}}
"""


def _version(plugin: str) -> str:
    return _line(rf'id."{re.escape(plugin)}". version ".+"').split('"')[3]


def no_compress(artifact: str) -> str:
    return f'androidResources {{ noCompress += "{Path(artifact).suffix[1:]}" }}'
