"""The device's end of adb's protocol, on 127.0.0.1, for real adb clients: this is no phone.

    CNXN  AUTH  OPEN  OKAY  WRTE  CLSE      messages: a header of six words, then bytes
    shell:  shell,v2:  exec:  sync:         services that a client opens

Commands run under this machine's `sh`, with /sdcard and /data taken for folders inside `root`, and
root/bin first on PATH. What this proves: quoting, exit codes, transfer, timeouts, what a client
says when a device goes away. Nothing of Android: no permissions, no `am`, no heat.

Faults: `authorised` False refuses every key, `full` lets every file end as on a full disk, `unplug`
is the cable pulled.
"""

import os
import queue
import re
import socket
import struct
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from loopback_sync import serve_sync

HEADER = struct.Struct("<6I")
VERSION, MAX_BYTES = 0x01000001, 256 * 1024  # of this version on, checksums are not looked at
CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little")
    for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
TOKEN = 1  # the kind of AUTH message that asks for a signature
FOLDERS = re.compile(r"""(?<![^\s'"=(;])/(?=(sdcard|data)\b)""")


class Adbd:
    """Serves until `unplug`; `address` is what `adb connect` takes."""

    def __init__(self, root: Path, *, authorised: bool = True):
        self.root, self.authorised, self.full = root, authorised, False
        self._links: list[Link] = []
        self._port = 0
        self.plug()

    def plug(self):
        """Listen, after `unplug` at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def unplug(self):
        # A thread in `accept` keeps a closed socket open; shutdown wakes it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            link.hang_up()
        self._links.clear()

    def local(self, text: str) -> str:
        """A command or path of the device, with the folders that stand for its own."""
        return FOLDERS.sub(f"{self.root}/", text)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            link = Link(self, connection)
            self._links.append(link)
            threading.Thread(target=link.serve, daemon=True).start()


class Link:
    """One client: reads its messages, and hands each stream what is for it."""

    def __init__(self, adbd: Adbd, connection: socket.socket):
        self.adbd, self._connection = adbd, connection
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}

    def serve(self):
        with suppress(OSError, EOFError), self._connection, self._connection.makefile("rb") as came:
            while len(header := came.read(HEADER.size)) == HEADER.size:
                command, first, second, size, _, _ = HEADER.unpack(header)
                self._answer(command, first, second, came.read(size))
        for stream in list(self._streams.values()):
            stream.over()

    def send(self, command: int, first: int, second: int, data: bytes = b""):
        header = HEADER.pack(command, first, second, len(data), 0, command ^ 0xFFFFFFFF)
        with self._sending:
            self._connection.sendall(header + data)

    def hang_up(self):
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, command, first, second, data):
        if command in (CNXN, AUTH) and not self.adbd.authorised:
            self.send(AUTH, TOKEN, 0, os.urandom(20))
        elif command == CNXN:
            said = b"device::ro.product.name=loopback;ro.product.model=loopback;features=shell_v2"
            self.send(CNXN, VERSION, MAX_BYTES, said)
        elif command == OPEN:
            number = max(self._streams, default=0) + 1
            stream = self._streams[number] = Stream(self, number, first)
            self.send(OKAY, number, first)
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=stream.serve, args=(service,), daemon=True).start()
        elif stream := self._streams.get(second):
            if command == WRTE:
                stream.came.put(data)
                self.send(OKAY, second, first)
            elif command == OKAY:
                stream.taken.release()
            elif command == CLSE:
                self._streams.pop(second).over()


class Stream:
    """One service in its thread. Each write waits until the client has taken the one before."""

    def __init__(self, link: Link, number: int, theirs: int):
        self._link, self._number, self._theirs = link, number, theirs
        self.came: queue.Queue[bytes] = queue.Queue()
        self.taken = threading.Semaphore(1)
        self._rest, self._over = b"", False

    def read(self, count: int) -> bytes:
        while len(self._rest) < count:
            if not (more := self.came.get()):
                raise EOFError
            self._rest += more
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def write(self, data: bytes):
        for at in range(0, len(data), MAX_BYTES):
            self.taken.acquire()
            if self._over:
                raise EOFError
            self._link.send(WRTE, self._number, self._theirs, data[at : at + MAX_BYTES])

    def over(self):
        self._over = True
        self.came.put(b"")
        self.taken.release()

    def serve(self, service: str):
        kind, _, command = service.partition(":")
        adbd = self._link.adbd
        with suppress(OSError, EOFError):
            if kind == "sync":
                serve_sync(self, adbd.local, full=lambda: adbd.full)
            elif kind.split(",")[0] in ("shell", "exec"):
                self._run(adbd.local(command), apart="v2" in kind.split(","))
            self.taken.acquire()  # or the last bytes would be overtaken by the end
        with suppress(OSError):
            self._link.send(CLSE, self._number, self._theirs)

    def _run(self, command: str, *, apart: bool):
        """apart: stdout, stderr and the exit code each in packets of their own kind."""
        root = self._link.adbd.root
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=root,
            env={**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}", "ROOT": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
        )
        said, complained = process.communicate()
        for kind, data in ((1, said), (2, complained)):
            data = (data or b"").replace(str(root).encode(), b"")
            if data:
                self.write(struct.pack("<BI", kind, len(data)) + data if apart else data)
        if apart:
            self.write(struct.pack("<BIB", 3, 1, process.returncode & 255))
