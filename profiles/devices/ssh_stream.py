"""A process on the other side of a connection, as the file that `edgevit.wire` reads and writes."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from .loop import wait

if TYPE_CHECKING:
    import asyncssh

LAST_LINES = 20  # of stderr
GREETING_BYTES = 1 << 16  # that a login shell may say before


class Stream:
    """timeout_s: of one read or write; TimeoutError beyond. The end of the process is EOFError."""

    def __init__(self, connection: "asyncssh.SSHClientConnection", command: str) -> None:
        import asyncssh

        self.timeout_s = 60.0
        self._connection = connection
        self._unsent = bytearray()
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        try:
            self._process = wait(self._start(command), self.timeout_s)
        except asyncssh.Error as e:
            raise EOFError(str(e)) from None

    def until(self, greeting: bytes) -> bool:
        """Skip what comes before `greeting`; False where the process ended without it."""
        return bool(wait(self._until(greeting), self.timeout_s))

    def read(self, size: int) -> bytes:
        return wait(self._read(size), self.timeout_s)

    def write(self, data: bytes) -> None:
        self._unsent += data

    def flush(self) -> None:
        data = bytes(self._unsent)
        self._unsent.clear()
        wait(self._write(data), self.timeout_s)

    def end(self, timeout_s: float) -> str:
        """Close its stdin and wait: how it ended, in words; "" where it was cut off instead."""
        try:
            return wait(self._end(), timeout_s)
        except TimeoutError:
            return "it has closed its streams"

    @property
    def last_words(self) -> str:
        return next((line for line in reversed(self._said) if line.strip()), "").strip()[:200]

    @property
    def status(self) -> int | None:
        return self._process.exit_status

    async def _start(self, command: str) -> "asyncssh.SSHClientProcess[bytes]":
        process = await self._connection.create_process(command, encoding=None)
        self._listening = asyncio.create_task(self._listen(process))
        return process

    async def _listen(self, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        """Take what it says, or the full window would stop it."""
        import asyncssh

        try:
            async for line in process.stderr:
                self._said.append(line.decode(errors="replace"))
        except (asyncssh.Error, OSError):
            return

    async def _until(self, greeting: bytes) -> bool:
        import asyncssh

        try:
            await self._process.stdout.readuntil(greeting)
        except (asyncio.IncompleteReadError, asyncssh.Error, OSError):
            return False
        return True

    async def _read(self, size: int) -> bytes:
        import asyncssh

        try:
            return await self._process.stdout.readexactly(size)
        except (asyncio.IncompleteReadError, asyncssh.Error, OSError):
            return b""

    async def _write(self, data: bytes) -> None:
        import asyncssh

        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (asyncssh.Error, OSError) as e:
            raise EOFError(str(e)) from None

    async def _end(self) -> str:
        import asyncssh

        with suppress(asyncssh.Error, OSError):
            self._process.stdin.write_eof()
        await self._process.wait_closed()
        await self._listening
        if self._process.exit_signal:
            return f"it was ended by SIG{self._process.exit_signal[0]}"
        if self._process.exit_status is not None:
            return f"it ended with exit code {self._process.exit_status}"
        return ""
