"""A folder that passes for a phone over adb: its properties, its programs, and the app's files.

The programs that adb's commands call on Android (am, pm, pidof, dumpsys, getprop) are small scripts
here, which answer from files in `root`: a test writes what the phone is to say. The app is a
process of its own either way: a stand-in, forked from the tests' template for speed, or any
command.
"""

import os
import shlex
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from loopback_adbd import Adbd

from edgevit.errors import ChildError
from edgevit.sandbox import Child

PACKAGE = "org.edgevit.demo"
FILES = f"sdcard/Android/data/{PACKAGE}/files"
PROPERTIES = {
    "ro.product.manufacturer": "Nobody",
    "ro.product.model": "Loopback",
    "ro.board.platform": "none",
    "ro.build.version.release": "14",
    "ro.product.cpu.abi": "arm64-v8a",
}
SCRIPTS = {
    "getprop": 'cat "$ROOT/said/$1" 2>/dev/null || echo',
    "dumpsys": 'cat "$ROOT/said/dumpsys-$1" 2>/dev/null',
    "pidof": """
        pid=$(cat "$ROOT/said/pid-$1" 2>/dev/null) || exit 1
        case "$(cat /proc/$pid/stat 2>/dev/null)" in "" | *") Z "*) exit 1;; esac
        echo "$pid"
    """,
    "pm": """
        case "$1" in
        path) [ -e "$ROOT/said/app-$2" ] && echo "package:/data/app/$2/base.apk" ;;
        install)
            if [ -e "$ROOT/said/pm-refuses" ]; then cat "$ROOT/said/pm-refuses"; exit 1; fi
            for apk in "$@"; do :; done
            [ -s "$apk" ] && touch "$ROOT/said/app-org.edgevit.demo" && echo Success ;;
        esac
    """,
    "am": """
        if [ "$1" = force-stop ]; then
            pid=$(pidof "$2") && kill -9 "-$pid"
            rm -f "$ROOT/said/pid-$2"
            exit 0
        fi
        while [ $# -gt 0 ]; do
            case "$1" in -n) activity=$2 ;; --es) token=$3 ;; esac
            shift
        done
        package=${activity%%/*}
        if [ ! -e "$ROOT/said/app-$package" ]; then
            echo "Error type 3"
            echo "Error: Activity class {$activity} does not exist."
            exit 1
        fi
        if [ -p "$ROOT/said/stand-in" ]; then
            echo "$token" >"$ROOT/said/stand-in"
            until [ -s "$ROOT/said/pid-$package" ]; do sleep 0.02; done
        else
            setsid APP "$ROOT/FILES" "$token" </dev/null >>"$ROOT/log.txt" 2>&1 &
            echo $! >"$ROOT/said/pid-$package"
        fi
        echo "Status: ok"
    """,
}


class Phone:
    """app: the command that `am start` runs, with the app's files folder and the token added."""

    def __init__(self, root: Path, *, app: Sequence[str] = (), authorised: bool = True):
        self.root, self.files, self._said = root, root / FILES, root / "said"
        for folder in (self.files, root / "data/local/tmp", root / "bin", self._said):
            folder.mkdir(parents=True)
        for name, script in SCRIPTS.items():
            text = script.replace("APP", shlex.join(app), 1).replace("/FILES", f"/{FILES}")
            (root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (root / "bin" / name).chmod(0o755)
        for name, value in PROPERTIES.items():
            self.say(name, f"{value}\n")
        self.say(f"app-{PACKAGE}", "")
        self.say("dumpsys-window", "  mDreamingLockscreen=false\n")
        self.say("dumpsys-power", "  mWakefulness=Awake\n")
        if not app:
            os.mkfifo(self._said / "stand-in")
            threading.Thread(target=self._start_stand_ins, daemon=True).start()
        self.adbd = Adbd(root, authorised=authorised)

    def say(self, name: str, text: str):
        (self._said / name).write_text(text)

    def forget(self, name: str):
        (self._said / name).unlink()

    @property
    def serial(self) -> str:
        return self.adbd.address

    def _start_stand_ins(self):
        """One child for each token that `am` writes; it leads a group of processes, as an app."""
        while token := (self._said / "stand-in").read_text().strip():
            child = Child(torch=True)
            self.say(f"pid-{PACKAGE}", str(child.pid))
            threading.Thread(target=self._stand_in, args=(child, token), daemon=True).start()

    def _stand_in(self, child: Child, token: str):
        with suppress(ChildError), child:  # killed by a test, or by force-stop
            child.call("devices.standin_app:main", files=str(self.files), token=token)

    def off(self):
        """Unplugged, and nothing of it goes on running."""
        self.adbd.unplug()
        self.kill_the_app()
        if (self._said / "stand-in").exists():
            (self._said / "stand-in").write_text("")

    @property
    def runs_the_app(self) -> bool:
        return not self._sh(f"pidof {PACKAGE}")

    def kill_the_app(self):
        """As Android does when memory is short; nothing if it does not run."""
        self._sh(f'pid=$(pidof {PACKAGE}) && kill -9 "-$pid"')

    def _sh(self, command: str) -> int:
        env = {"ROOT": str(self.root), "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-c", command], env=env, stdout=subprocess.DEVNULL)
        return done.returncode

    @property
    def left_over(self) -> list[str]:
        """What a session put here and should have removed."""
        inside = (path for place in ("sdcard", "data") for path in (self.root / place).rglob("*"))
        found = (path for path in inside if path.is_file() or self.files in path.parents)
        return sorted(str(path.relative_to(self.root)) for path in found)
