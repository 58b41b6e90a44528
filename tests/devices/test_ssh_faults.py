"""What goes wrong between here and a board: each in one sentence, exit code 7, nothing left."""

import os
import shutil
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from edgevit.cli import main
from edgevit.errors import ChildDied, ChildMemory, DeviceError, InputError, MissingRuntime
from edgevit.profiles.devices.device import connect
from edgevit.profiles.devices.ssh_login import Address
from edgevit.profiles.devices.ssh_prepare import CHECKS
from edgevit.profiles.variant import Item

ITEM = Item(CHECKS / "onnx.onnx", "onnx")
LONG = {"rounds": 100_000, "warmup_s": 0.01, "block_s": 0.001, "control": False}
pytestmark = pytest.mark.needs("/usr/sbin/sshd", "asyncssh", "onnxruntime")


def refusal(name="ssh:board"):
    with pytest.raises(DeviceError) as raised:
        connect(name).close()
    return str(raised.value)


def test_an_unknown_host_key(bare):
    bare.know(None)
    said = refusal()
    assert f"ssh:board is not in {bare.folder}/known_hosts. Its host key is ssh-ed25519" in said
    assert fingerprint(bare.folder / "host_key.pub") in said
    assert f"`ssh-keyscan -p {bare.port} -t ed25519 127.0.0.1 >> {bare.folder}/known_hosts`" in said


def test_a_changed_host_key(bare):
    bare.know("another_key")
    said = refusal()
    assert said.startswith("ssh:board: THE HOST KEY HAS CHANGED to ssh-ed25519 SHA256:")
    assert fingerprint(bare.folder / "host_key.pub") in said
    assert f"-R '[127.0.0.1]:{bare.port}'` removes the old one" in said


def test_a_refused_key(bare):
    bare.authorize("another_key")
    said = refusal()
    assert said.startswith("ssh:board takes none of the keys that were offered")
    assert "ssh-copy-id" in said


def test_nobody_listens(bare):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    said = refusal(f"ssh:127.0.0.1:{port}")
    assert said.startswith(f"ssh:127.0.0.1:{port} cannot be reached (")
    assert refusal("ssh:no-such-board.invalid").startswith("ssh:no-such-board.invalid cannot be")


def test_one_who_listens_and_says_nothing(bare, monkeypatch):
    monkeypatch.setattr("edgevit.profiles.devices.ssh_login.CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said = refusal(f"ssh:127.0.0.1:{mute.getsockname()[1]}")
    assert "did not answer within 0.3 s" in said


def test_a_board_that_is_not_prepared(board):
    run = board.place / "run"
    run.rename(run.with_name("venv"))  # a name that is no left-over
    try:
        said = refusal()
    finally:
        run.with_name("venv").rename(run)
    assert said == (
        "ssh:board is not prepared; `edgevit devices prepare ssh:board` puts there what it needs"
    )


def test_the_code_of_another_edgevit(board):
    file = board.place / "code" / "edgevit" / "digest.py"
    before = file.read_text()
    file.write_text(before + "# another\n")
    try:
        assert "has the code of another edgevit (0.1.0); `edgevit devices prepare" in refusal()
    finally:
        file.write_text(before)


def test_a_python_that_does_not_start(board):
    run = board.place / "run"
    before = run.read_text()
    run.write_text("#!/bin/sh\necho 'noise of a login'\necho 'no module named x' >&2\nexit 1\n")
    try:
        said = refusal()
    finally:
        run.write_text(before)
    assert "does not start: it ended with exit code 1, last words: no module named x; " in said


def test_what_a_login_says_is_skipped(board):
    run = board.place / "run"
    before = run.read_text()
    run.write_text(before.replace("#!/bin/sh\n", "#!/bin/sh\necho Welcome\n"))
    try:
        with closing(connect("ssh:board")) as there:
            assert there.describe()["cores"]
    finally:
        run.write_text(before)


def in_the_middle(board, fault):
    """What profile says when `fault` happens amid its rounds."""
    begun = threading.Event()

    def tell(what, done, total):
        if done == 5:
            begun.set()

    def strike():
        if begun.wait(60):
            fault()

    threading.Thread(target=strike, daemon=True).start()
    with closing(connect("ssh:board")) as there, pytest.raises(DeviceError) as raised:
        there.profile([ITEM], **LONG, on_progress=tell)
    return str(raised.value)


def test_a_connection_cut_in_the_middle(board):
    there = []
    said = in_the_middle(board, lambda: (there.extend(board.processes()), board.cut()))
    assert said == "the connection to ssh:board was cut"
    assert board.left() == []
    assert there
    assert not psutil.wait_procs(there, timeout=10)[1]


def test_a_board_process_killed_in_the_middle(board):
    said = in_the_middle(board, lambda: board.server().kill())
    assert said == "edgevit's process on ssh:board is gone: it was ended by SIGKILL"


def test_a_runtime_that_dies_there(board):
    with closing(connect("ssh:board")) as there:
        child = there.line.child(timeout_s=30)
        with pytest.raises(ChildDied, match="the process died of SIGABRT in abort"):
            child.call("os:abort")
        child.close()


def test_a_long_call_ends_with_the_connection(board):
    there = connect("ssh:board")
    child = there.line.child(timeout_s=600)
    threading.Timer(0.3, board.cut).start()
    with pytest.raises(DeviceError, match="the connection to ssh:board was cut"):
        child.call("subprocess:run", args=["sleep", "600"])
    there.close()


def test_a_connection_cut_while_a_file_is_copied(board, tmp_path):
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(1 << 29)
    there = connect("ssh:board")
    arriving = threading.Thread(target=lambda: (wait_for(board, ".onnx"), board.cut()), daemon=True)
    arriving.start()
    (said,) = there.profile([Item(large, "onnx")])
    arriving.join(60)
    there.close()
    assert str(said) == (
        "large.onnx: the connection to ssh:board was cut while large.onnx was copied"
    )
    assert board.left() == []


def wait_for(board, suffix):
    while not any(file.suffix == suffix for file in board.place.glob(".edgevit-*/*/*")):
        time.sleep(0.01)


def test_too_little_memory(board):
    with closing(connect("ssh:board")) as there:
        number = there.line.call("edgevit.board:begin", timeout_s=60, memory_bytes=1 << 30)
        with pytest.raises(ChildMemory, match="needed more than the limit of 1 GiB of memory"):
            there.line.call("numpy:ones", of=number, shape=[1 << 31])
        there.line.call("edgevit.board:end", number=number)


def test_what_a_board_without_power_has_kept_goes_after_a_day(board):
    old, young = (board.place / f".edgevit-{name}" for name in ("old", "young"))
    for place, days in ((old, 2), (young, 0)):
        (place / "model").mkdir(parents=True)
        os.utime(place, (time.time() - 86400 * days,) * 2)
    connect("ssh:board").close()
    assert (old.exists(), young.exists()) == (False, True)
    shutil.rmtree(young)


def test_the_command_ends_with_7(bare):
    bare.know(None)
    with pytest.raises(SystemExit) as ended:
        main(["devices", "prepare", "ssh:board", "-q"])
    assert ended.value.code == 7


def test_addresses():
    assert Address.of("pi@board:2222") == Address("pi@board:2222", "board", "pi", 2222)
    assert Address.of("[::1]:22").host == "::1"
    for wrong in ("", "a b", "host:port", "host:70000", "user@"):
        with pytest.raises(InputError, match="is no address; give ssh:HOST"):
            Address.of(wrong)


def test_without_asyncssh_the_command_that_installs_it_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingRuntime, match=r"pip install 'edgevit\[devices\]'"):
        connect("ssh:board")


def fingerprint(public: Path) -> str:
    import asyncssh

    return asyncssh.read_public_key(public).get_fingerprint()
