"""The line to a board: its `edgevit.board` answers calls, one at a time, and has children there."""

import threading
from contextlib import suppress
from typing import Any

from edgevit import packed
from edgevit.board import GREETING
from edgevit.errors import (
    ChildError,
    DeviceError,
    EdgevitError,
    MissingRuntime,
    OutputError,
    by_name,
)
from edgevit.wire import receive, send

from .ssh_login import Address, hang_up, login
from .ssh_stream import Stream

# Where `edgevit devices prepare` puts things, under the home of whom we log in as.
PLACE = ".cache/edgevit/board"
RUN = f"""sh -c 'exec "$HOME/{PLACE}/run"'"""
NOT_THERE = (126, 127)  # what a shell ends with that cannot run a file
CALL_S = 60.0  # of the board's own process
GRACE_S = 30.0  # beyond a child's own limit, which the board keeps


class Line:
    """Open from the start; DeviceError from any call names the board."""

    def __init__(self, address: Address) -> None:
        self.name = address.name
        self._turn = threading.Lock()
        self._fault = ""  # once it is known, that is the answer to all further calls
        self.connection = login(address)
        try:
            self._stream = Stream(self.connection, RUN)
            if not self._stream.until(GREETING):
                raise self._unprepared()
            self.greeting: dict[str, Any] = receive(self._stream)  # type: ignore[arg-type]
            self._check_code()
        except (EOFError, TimeoutError) as e:
            hang_up(self.connection)
            raise DeviceError(f"{self.name} starts no process: {e or 'no answer'}") from None
        except BaseException:
            hang_up(self.connection)
            raise

    def call(
        self, function: str, *, of: int = 0, within_s: float = CALL_S, **arguments: Any
    ) -> Any:
        """`function` run by child `of`, or by the board's own process; see `sandbox.Child.call`."""
        with self._turn:
            reply = self._exchange(
                {"child": of, "call": function, "arguments": arguments}, within_s
            )
        if "error" not in reply:
            return reply["value"]
        kind = by_name(reply["kind"])
        if kind is None:
            raise DeviceError(f"{self.name} failed: {reply['kind']}: {reply['error']}")
        if issubclass(kind, MissingRuntime | OutputError):
            raise DeviceError(f"{self.name}: {reply['error']}")
        error = kind(reply["error"])
        if isinstance(error, ChildError):
            error.words = reply.get("words", "")
        raise error

    def child(
        self, *, timeout_s: float = CALL_S, env: dict[str, str] | None = None
    ) -> "BoardChild":
        """A child on the board."""
        number = self.call("edgevit.board:begin", timeout_s=timeout_s, env=env)
        return BoardChild(self, number, timeout_s)

    def close(self) -> None:
        """The end of its stdin: the board ends its children and removes what was pushed."""
        if not self._fault:
            self._stream.end(10)
        hang_up(self.connection)

    def _exchange(self, request: dict[str, Any], within_s: float) -> Any:
        if self._fault:
            raise DeviceError(self._fault)
        self._stream.timeout_s = within_s
        try:
            send(self._stream, request)  # type: ignore[arg-type]
            return receive(self._stream)  # type: ignore[arg-type]
        except TimeoutError:
            self._fault = (
                f"{self.name} gave no answer within {within_s:g} s; it hangs, or the network does"
            )
        except EOFError:
            how, words = self._stream.end(5), self._stream.last_words
            self._fault = f"the connection to {self.name} was cut"
            if how:
                said = f", last words: {words}" if words else ""
                self._fault = f"edgevit's process on {self.name} is gone: {how}{said}"
        except BaseException:  # Ctrl-C: the reply on its way must not answer the next call
            self._fault = f"the call to {self.name} was given up"
            hang_up(self.connection)
            raise
        hang_up(self.connection)
        raise DeviceError(self._fault)

    def _unprepared(self) -> DeviceError:
        how, words = self._stream.end(5), self._stream.last_words
        prepare = f"`edgevit devices prepare {self.name}`"
        if self._stream.status in NOT_THERE:
            return DeviceError(f"{self.name} is not prepared; {prepare} puts there what it needs")
        if not how:
            return DeviceError(f"the connection to {self.name} was cut")
        said = f", last words: {words}" if words else ""
        return DeviceError(
            f"edgevit's process on {self.name} does not start: {how}{said}; {prepare} sets it up "
            "anew"
        )

    def _check_code(self) -> None:
        if self.greeting["code"] != packed.digest():
            raise DeviceError(
                f"{self.name} has the code of another edgevit ({self.greeting['edgevit']}); "
                f"`edgevit devices prepare {self.name}` brings this one there"
            )


class BoardChild:
    """See `sandbox.Callee`. timeout_s: of one call, held by the board."""

    def __init__(self, line: Line, number: int, timeout_s: float) -> None:
        self._line, self._number, self._timeout_s = line, number, timeout_s

    def call(self, function: str, **arguments: Any) -> Any:
        within_s = self._timeout_s + GRACE_S
        return self._line.call(function, of=self._number, within_s=within_s, **arguments)

    def close(self) -> None:
        with suppress(EdgevitError):  # the line is cut: the child has ended with it
            self._line.call("edgevit.board:end", number=self._number)
