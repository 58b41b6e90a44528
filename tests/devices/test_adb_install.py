"""An app that a phone does not take: one sentence for what its package manager says."""

import zipfile

import pytest

from edgevit.errors import DeviceError, InputError
from edgevit.profiles.devices import adb

pytestmark = pytest.mark.needs("adbutils", "setsid")


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (
            "Failure [INSTALL_FAILED_NO_MATCHING_ABIS: Failed to extract libraries, res=-113]",
            "it holds no code for this phone's processor (arm64-v8a): build it for that",
        ),
        (
            "Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]",
            "no space left on the phone: free some of its storage",
        ),
        ("Failure [INSTALL_FAILED_OLDER_SDK: needs 35]", "it needs a newer Android than 14"),
        ("Failure [not known]", "Failure [not known]"),
    ],
)
def test_an_app_that_the_phone_does_not_install(phone, tmp_path, says, sentence):
    apk = tmp_path / "demo app.apk"
    with zipfile.ZipFile(apk, "w") as archive:
        archive.writestr("AndroidManifest.xml", "<manifest/>")
    phone.say("pm-refuses", f"{says}\n")
    with pytest.raises(DeviceError) as failed:
        adb.install(phone.serial, apk)
    assert str(failed.value) == f"{phone.serial} does not install demo app.apk: {sentence}"
    assert phone.left_over == []
    apk.write_text("no archive")
    with pytest.raises(InputError, match=r"demo app\.apk is no APK"):
        adb.install(phone.serial, apk)
