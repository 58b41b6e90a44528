"""Copy files to a board, over sftp."""

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError

from .loop import wait

if TYPE_CHECKING:
    import asyncssh

PUSH_S = 3600.0


def put(
    connection: "asyncssh.SSHClientConnection",
    name: str,
    source: Path | bytes,
    place: str,
    *,
    mode: int = 0o644,
) -> None:
    """Write a file, or bytes, to `place` there, in a folder made if missing; name: the board's."""
    import asyncssh

    async def copy() -> None:
        async with connection.start_sftp_client() as sftp:
            await sftp.makedirs(posixpath.dirname(place), exist_ok=True)
            if isinstance(source, Path):
                # Holes would be left out, also the last one: the file would be too short.
                await sftp.put(str(source), place, sparse=False)
            else:
                async with sftp.open(place, "wb") as file:
                    await file.write(source)
            await sftp.chmod(place, mode)

    what = posixpath.basename(place)
    try:
        wait(copy(), PUSH_S)
    except TimeoutError:
        raise DeviceError(f"{what} was not copied to {name} within {PUSH_S:g} s") from None
    except (
        ConnectionError,
        asyncssh.ConnectionLost,
        asyncssh.SFTPConnectionLost,
        asyncssh.SFTPNoConnection,
    ):
        raise DeviceError(f"the connection to {name} was cut while {what} was copied") from None
    except (asyncssh.Error, OSError) as e:
        raise DeviceError(f"{what} cannot be copied to {place} on {name}: {e}") from None
