"""The app is described twice, for Gradle and for Maven: what both say must be the same."""

import re
from xml.etree import ElementTree


def test_gradle_and_pom_agree(root):
    gradle = (root / "android_demo/build.gradle.kts").read_text()
    pom = ElementTree.parse(root / "android_demo/pom.xml").getroot()
    space = {"m": "http://maven.apache.org/POM/4.0.0"}

    def in_pom(path):
        return pom.findtext(path, None, space)

    def in_gradle(pattern):
        (found,) = re.findall(pattern, gradle)
        return found

    for path, pattern in (
        ("m:version", r'versionName = "(.+)"'),
        ("m:properties/m:app.minSdk", r"minSdk = (\d+)"),
        ("m:properties/m:app.targetSdk", r"targetSdk = (\d+)"),
        ("m:properties/m:app.targetSdk", r"compileSdk = (\d+)"),
        ("m:properties/m:app.package", r'namespace = "(.+)"'),
        ("m:properties/m:app.package", r'applicationId = "(.+)"'),
        ("m:properties/m:kotlin.version", r'org\.jetbrains\.kotlin\.android"\) version "(.+)"'),
        (
            "m:properties/m:maven.compiler.release",
            r"sourceCompatibility = JavaVersion.VERSION_(\d+)",
        ),
        ("m:properties/m:kotlin.compiler.jvmTarget", r"JvmTarget\.JVM_(\d+)"),
    ):
        assert in_pom(path) == in_gradle(pattern), path


def test_no_class_is_named_that_is_not_there(root):
    """The manifest and the layouts name classes that no compiler looks up."""
    app = root / "android_demo/src/main"
    sources = " ".join(file.read_text() for file in app.rglob("*.kt"))
    named = [
        name
        for file in app.rglob("*.xml")
        for name in re.findall(r"org\.edgevit\.demo\.([A-Z]\w+)", file.read_text())
    ]
    assert len(set(named)) >= 5
    assert not [name for name in set(named) if not re.search(rf"class {name}\b", sources)]


def test_the_network_is_never_asked_for(root):
    manifest = (root / "android_demo/src/main/AndroidManifest.xml").read_text()
    asked = re.findall(r'uses-permission android:name="([^"]+)"', manifest)
    assert asked == ["android.permission.CAMERA"]
