"""A connection to a board: its address, its host key, our keys; each refusal in one sentence.

Keys, the agent, known hosts and ~/.ssh/config are those of OpenSSH's own client. There is no place
for a password: it would stand in the shell's history.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.converters.target import require
from edgevit.errors import DeviceError, InputError

from .loop import wait

if TYPE_CHECKING:
    import asyncssh

CONNECT_S = 15.0
KEEPALIVE_S, KEEPALIVES = 10.0, 3  # a cable that was pulled is noticed after 30 to 40 s
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]]+\]|[^\[\]@:\s]+)(?::(?P<port>\d+))?"
)


@dataclass(frozen=True)
class Address:
    """What ~/.ssh/config may say otherwise is empty: user "", port 0."""

    text: str
    host: str
    user: str = ""
    port: int = 0

    @classmethod
    def of(cls, text: str) -> "Address":
        found = _ADDRESS.fullmatch(text)
        if not found or int(found["port"] or 0) > 65535:
            raise InputError(f"ssh:{text} is no address; give ssh:HOST or ssh:USER@HOST:PORT")
        host, user = found["host"].strip("[]"), found["user"] or ""
        return cls(text, host, user, int(found["port"] or 0))

    @property
    def name(self) -> str:
        return f"ssh:{self.text}"


def login(address: Address) -> "asyncssh.SSHClientConnection":
    """An open connection; DeviceError says why there is none and what to do."""
    require("devices", ("asyncssh",))
    import asyncssh

    seen: dict[str, Any] = {}

    class Client(asyncssh.SSHClient):
        """Notes a host key that known_hosts does not vouch for."""

        def validate_host_public_key(
            self, host: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            seen.update(host=host, addr=addr, port=port, key=key)
            return False

    given = {"host": address.host, "username": address.user, "port": address.port}
    options: dict[str, Any] = {key: value for key, value in given.items() if value}

    async def connect() -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            **options,
            client_factory=Client,
            preferred_auth=("publickey",),
            connect_timeout=CONNECT_S,
            login_timeout=CONNECT_S,
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=KEEPALIVES,
        )

    try:
        return wait(connect())
    except asyncssh.HostKeyNotVerifiable as e:
        if not seen:
            raise DeviceError(f"{address.name}: {e}; its entry in known_hosts forbids it") from None
        raise _unknown_key(address, seen, options) from None
    except asyncssh.PermissionDenied:
        raise DeviceError(
            f"{address.name} takes none of the keys that were offered; `ssh-copy-id` puts one "
            "there, and `ssh-add` hands one with a passphrase to the agent"
        ) from None
    except asyncssh.KeyExchangeFailed as e:
        raise DeviceError(
            f"{address.name} has no host key of the kind that known_hosts knows it by ({e}); where "
            "the board was installed anew, `ssh-keygen -R` removes the old one"
        ) from None
    except TimeoutError:
        raise DeviceError(
            f"{address.name} did not answer within {CONNECT_S:g} s; is it switched on, and in this "
            "network?"
        ) from None
    except OSError as e:
        said = f"{e.filename}: {e.strerror}" if e.filename else e.strerror or e
        raise DeviceError(
            f"{address.name} cannot be reached ({said}); check its name, its port, and that sshd "
            "runs there"
        ) from None
    except (asyncssh.Error, ValueError) as e:  # ValueError: ~/.ssh/config, a key file
        raise DeviceError(f"{address.name} cannot be reached: {e}") from None


def hang_up(connection: "asyncssh.SSHClientConnection") -> None:
    async def abort() -> None:  # in the loop's own thread, which nothing else would wake
        connection.abort()

    wait(abort())


def _unknown_key(address: Address, seen: dict[str, Any], options: dict[str, Any]) -> DeviceError:
    """The sentence for a host key that is not in known_hosts, or is another one there."""
    import asyncssh

    host, port, key = seen["host"], seen["port"], seen["key"]
    kind = key.get_algorithm()
    # config=(): ~/.ssh/config, as for `connect`.
    read = asyncssh.SSHClientConnectionOptions.construct(None, config=(), **options)
    files = wait(read).known_hosts
    listed = isinstance(files, list) and files
    place = Path(str(files[0])) if listed else Path.home() / ".ssh" / "known_hosts"
    known = place.exists() and asyncssh.match_known_hosts(
        [str(place)], host, seen["addr"], port if port != 22 else None
    )
    if known and known[0]:
        entry = host if port == 22 else f"[{host}]:{port}"
        return DeviceError(
            f"{address.name}: THE HOST KEY HAS CHANGED to {kind} {key.get_fingerprint()}, and "
            f"{place} knows another one: the board was installed anew, or somebody listens in "
            f"between. Only if you know which: `ssh-keygen -f {place} -R '{entry}'` removes the "
            "old one"
        )
    short = kind.removeprefix("ssh-").partition("-")[0]  # as ssh-keyscan says it: ecdsa, ed25519
    scan = f"ssh-keyscan -p {port} -t {short} {host} >> {place}"
    return DeviceError(
        f"{address.name} is not in {place}. Its host key is {kind} {key.get_fingerprint()}; where "
        "`ssh-keygen -lf` of /etc/ssh/ssh_host_*_key.pub on the board says the same, "
        f"`{scan}` adds it"
    )
