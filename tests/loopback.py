"""A board on 127.0.0.1: Debian's own sshd, with keys, port and home that are only the test's."""

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

SSHD = "/usr/sbin/sshd"
SETTINGS = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
MaxSessions 4
SetEnv HOME={home}
"""
CONFIG = """
Host board
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user_key
  UserKnownHostsFile {folder}/known_hosts
"""


def keygen(file: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)]
    subprocess.run(command, check=True)


class Loopback:
    """`ssh:board` is it, by ~/.ssh/config of the `user` home; its own home is `home`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.user = folder, folder / "home", folder / "user"
        for place in (self.home, self.user / ".ssh"):
            place.mkdir(parents=True)
        for name in ("host_key", "user_key", "another_key"):
            keygen(folder / name)
        self.port = _free_port()
        self.authorize("user_key")
        self.know("host_key")
        given = {"port": self.port, "folder": folder, "home": self.home}
        (folder / "sshd_config").write_text(SETTINGS.format(**given))
        (self.user / ".ssh" / "config").write_text(CONFIG.format(**given))
        if os.geteuid() == 0:  # it drops its privileges there, where it has any
            Path("/run/sshd").mkdir(exist_ok=True)
        self._start()

    def authorize(self, key: str) -> None:
        text = (self.folder / f"{key}.pub").read_text()
        (self.folder / "authorized_keys").write_text(text)

    def know(self, key: str | None) -> None:
        """Write known_hosts: the board has that key, or nobody knows it."""
        public = (self.folder / f"{key}.pub").read_text() if key else ""
        entry = f"[127.0.0.1]:{self.port} {public}" if key else ""
        (self.folder / "known_hosts").write_text(entry)

    @property
    def place(self) -> Path:
        return self.home / ".cache" / "edgevit" / "board"

    def sessions(self) -> list[psutil.Process]:
        """sshd's processes of open connections."""
        pid = int((self.folder / "sshd.pid").read_text())
        return psutil.Process(pid).children()

    def processes(self) -> list[psutil.Process]:
        """The board's Python processes: edgevit.board and its children."""
        found = []
        for session in self.sessions():
            with suppress(psutil.Error):
                found += [p for p in session.children(recursive=True) if "python" in p.name()]
        return found

    def server(self) -> psutil.Process:
        return next(p for p in self.processes() if "edgevit.board" in " ".join(p.cmdline()))

    def cut(self) -> None:
        """As a cable that is pulled: sshd's side of the connection is gone."""
        for session in self.sessions():
            for process in (session, *session.children()):
                if process.name().startswith("sshd"):
                    process.send_signal(signal.SIGKILL)

    def left(self) -> list[str]:
        """What lies beside what was prepared, once the board has had time to remove it."""
        deadline = time.monotonic() + 10
        while (found := self._run_folders()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def stop(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self.cut()
        self._sshd.communicate()

    def _run_folders(self) -> list[str]:
        prepared = ("run", "code", "venv")
        return [f.name for f in self.place.iterdir() if f.name not in prepared]

    def _start(self) -> None:
        # It ends with this process, also where that is killed: then the shell's stdin ends.
        command = ["/bin/sh", "-c", '"$@" & cat >/dev/null; kill -9 $!', "sh"]
        command += [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "sshd.log").open("wb") as log:
            self._sshd = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "sshd.log").read_text())


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
