"""One job in the app: written, started, waited for by its token, and removed again."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from edgevit.errors import DeviceError, EdgevitError

from .adb_link import Link, cure

PACKAGE = "org.edgevit.demo"
ACTIVITY = f"{PACKAGE}/.BenchmarkActivity"
VERSION = 1  # of job.json and result.json
POLL_S = 1.0
# What `dumpsys window` and `dumpsys power` say, by Android's version, of a screen that hides apps.
LOCKED = re.compile(r"(mDreamingLockscreen|mShowingLockscreen|isKeyguardShowing)=true")
ASLEEP = re.compile(r"mWakefulness=(Asleep|Dozing)")


class Job:
    """In the folder jobs/TOKEN of the app's files; see the module."""

    def __init__(self, link: Link, files: str, token: str) -> None:
        self._link, self._token = link, token
        self.folder = f"{files}/jobs/{token}"

    def check(self) -> None:
        """DeviceError where the app cannot run: it is missing, or the screen is locked."""
        serial = self._link.serial
        if not self._link.run(f"pm path {PACKAGE}")[1]:
            raise DeviceError(
                f"the app is not on {serial}: edgevit devices install adb:{serial} APK"
            )
        said = self._link.run("dumpsys window; dumpsys power")[1]
        if LOCKED.search(said):
            raise DeviceError(f"{serial} is locked, and a hidden app is slowed: unlock its screen")
        if ASLEEP.search(said):
            raise DeviceError(f"the screen of {serial} is off, which slows an app: wake it up")

    def start(self, document: dict[str, Any], inputs: dict[str, bytes]) -> None:
        job = {"version": VERSION, "token": self._token, **document}
        for name, content in {**inputs, "job.json": json.dumps(job, indent=1).encode()}.items():
            self._link.push(content, f"{self.folder}/{name}")
        self._link.run(f"am force-stop {PACKAGE}")
        code, said = self._link.run(f"am start -W -n {ACTIVITY} --es job {self._token}")
        if code or re.search(r"^Error", said, re.MULTILINE):
            words = " ".join(said.split())
            raise DeviceError(f"{self._link.serial} does not start the app: {words}")

    def wait(
        self,
        timeout_s: float,
        on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
        total: int = 1,
    ) -> dict[str, Any]:
        """The app's result; DeviceError when it died, or said nothing new for `timeout_s`."""
        said, since = "", time.monotonic()
        while True:
            state, line = self._state()
            if line not in ("", said):
                said, since = line, time.monotonic()
                counted = re.fullmatch(r"(.+) (\d+)/(\d+)", line)
                told = (counted[1], int(counted[2]), int(counted[3])) if counted else None
                on_progress(*(told or (line, 0, total)))
            if state == "done":
                return self._result()
            serial, last = self._link.serial, f" (it last said {said!r})" if said else ""
            if state == "gone":
                raise DeviceError(
                    f"the job's folder on {serial} vanished{last}: does another session use it?"
                )
            if state == "dead":
                raise DeviceError(
                    f"the app on {serial} was killed before its result was there{last}: by Android "
                    "for its memory, or by hand; see `adb logcat`"
                )
            if time.monotonic() - since > timeout_s:
                raise DeviceError(
                    f"the app on {serial} said nothing new for {timeout_s:g} s{last}: give it "
                    "longer with --timeout, or a smaller model"
                )
            time.sleep(POLL_S)

    def pull(self, name: str) -> bytes:
        return self._link.pull(f"{self.folder}/{name}")

    def stop(self) -> None:
        """End the app, and remove the job's folder."""
        self._link.run(f"am force-stop {PACKAGE}; rm -rf {self.folder}")

    def _state(self) -> tuple[str, str]:
        """done, gone, dead or open; and the line of progress.

        Whether the app lives is asked before its result, which it may write and end between.
        """
        code, said = self._link.run(
            f"pid=$(pidof {PACKAGE}); cd {self.folder} 2>/dev/null || {{ echo gone; exit; }}; "
            'if [ -f result.json ]; then echo done; elif [ -z "$pid" ]; then echo dead; '
            "else echo open; fi; cat progress.txt 2>/dev/null || true"
        )
        state, _, line = said.partition("\n")
        if state not in ("done", "gone", "dead", "open"):
            raise DeviceError(f"{self._link.serial} answers with {code}: {said}{cure(said)}")
        return state, " ".join(line.split())

    def _result(self) -> dict[str, Any]:
        from .adb_result import error_of

        try:
            result = json.loads(self.pull("result.json"))
            version, token = result["version"], result["token"]
            error: EdgevitError | None = error_of(result, self._link.serial)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise DeviceError(
                f"the app on {self._link.serial} answers with no result ({e}): install it again"
            ) from None
        if (version, token) != (VERSION, self._token):
            raise DeviceError(
                f"the app on {self._link.serial} answers version {version!r} of job {token!r}, not "
                f"{VERSION} of {self._token!r}: install the app of this edgevit"
            )
        if error:
            raise error
        return dict(result)
