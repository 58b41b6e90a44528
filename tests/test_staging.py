"""However a command ends, the output is the old one or the new one, and no scratch is left."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from edgevit import staging as module
from edgevit.errors import OutputError
from edgevit.staging import PREFIX, explain, publish, staging, write_text

NAMES = ["m.pte", "ein schönes Modell 模型.pte", 'it\'s "$HOME" `-rf`.pte']


def scratch(out: Path) -> list[Path]:
    return list(out.glob(f"{PREFIX}*")) if out.exists() else []


def tree(path: Path) -> dict[str, str]:
    return {str(f.relative_to(path)): f.read_text() for f in path.rglob("*") if f.is_file()}


def build(path: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_replaces_a_file(tmp_path, name):
    out = tmp_path / name
    build(out, {name: "old"})
    with staging(out) as work:
        (work / name).write_text("new")
        assert tree(out)[name] == "old"
        publish(work / name, out / name)
    assert tree(out) == {name: "new"}
    assert scratch(out) == []


@pytest.mark.parametrize("swap", ["renameat2", "two renames"])
@pytest.mark.parametrize(
    "old", [None, {"m/a": "old", "m/b/c": "old"}, {"m": "a file"}], ids=["none", "folder", "file"]
)
@pytest.mark.parametrize("new", [{"m/a": "new"}, {"m": "new file"}], ids=["folder", "file"])
def test_anything_replaces_anything(tmp_path, monkeypatch, swap, old, new):
    if swap == "two renames":  # as on macOS; a fake platform, to reach that branch
        monkeypatch.setattr(module.sys, "platform", "darwin")
    build(tmp_path, old or {})
    with staging(tmp_path) as work:
        build(work, new)
        publish(work / "m", tmp_path / "m")
        assert {k: v for k, v in tree(tmp_path).items() if not k.startswith(PREFIX)} == new
    assert tree(tmp_path) == new


def test_a_link_is_replaced_and_not_followed(tmp_path):
    build(tmp_path, {"theirs/a": "precious", "made/a": "new", "file": "new"})
    for made in ("made", "file"):
        (tmp_path / "link").symlink_to("theirs")
        publish(tmp_path / made, tmp_path / "link")
        assert not (tmp_path / "link").is_symlink()
        assert tree(tmp_path / "theirs") == {"a": "precious"}
        (tmp_path / "link").rename(tmp_path / f"was {made}")


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("published", [False, True])
def test_an_exception_leaves_old_or_new(tmp_path, ending, published):
    build(tmp_path, {"m": "old"})

    def interrupted() -> None:
        with staging(tmp_path) as work:
            build(work, {"m": "new", "deep/er": "rest"})
            if published:
                publish(work / "m", tmp_path / "m")
            raise ending

    with pytest.raises(ending):
        interrupted()
    assert tree(tmp_path) == {"m": "new" if published else "old"}
    assert scratch(tmp_path) == []


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from edgevit import staging
    out, stage = Path(sys.argv[1]), sys.argv[2]

    def at(name):
        if name == stage:
            os.kill(os.getpid(), int(sys.argv[3]))

    with staging.staging(out) as work:
        at("begun")
        (work / "m").mkdir()
        (work / "m" / "a").write_text("new")
        at("made")
        staging.publish(work / "m", out / "m")
        at("published")
        staging.write_text(out / "m.json", "new card")
        at("described")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
@pytest.mark.parametrize("stage", ["begun", "made", "published", "described"])
def test_a_killed_process_leaves_old_or_new(tmp_path, stage, number):
    out = tmp_path / "it's a folder ü"
    build(out, {"m/a": "old", "m.json": "old card"})
    command = [sys.executable, "-c", dedent(KILLED), str(out), stage, str(int(number))]
    assert subprocess.run(command, check=False).returncode == -number
    end = time.monotonic() + 10
    while scratch(out) and time.monotonic() < end:
        time.sleep(0.02)
    assert scratch(out) == []
    new = {"begun": 0, "made": 0, "published": 1, "described": 2}[stage]
    assert tree(out) == {
        "m/a": "new" if new > 0 else "old",
        "m.json": "new card" if new > 1 else "old card",
    }


def test_a_folder_we_made_goes_when_nothing_came_of_it(tmp_path):
    deep = tmp_path / "a" / "b c" / "out"
    with staging(deep) as work:
        assert work.parent == deep
    assert list(tmp_path.iterdir()) == []
    with staging(deep) as work:
        build(work, {"m": "new"})
        publish(work / "m", deep / "m")
    assert tree(tmp_path) == {"a/b c/out/m": "new"}


def test_a_folder_that_was_there_stays(tmp_path):
    with staging(tmp_path / ".") as work:
        assert work.exists()
    assert tmp_path.exists()


def test_no_janitor_waits_after_the_end(tmp_path):
    with staging(tmp_path) as work:
        pass
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(work) not in listed.stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space is left on the device"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
    ],
)
def test_a_refusal_is_a_sentence(tmp_path, monkeypatch, code, words):
    """Injected: tests may run as root, whom permissions do not stop, on a disk that is not full."""

    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    build(tmp_path, {"m.json": "old"})
    monkeypatch.setattr(module.os, "fdopen", refuse)
    with pytest.raises(OutputError, match=words) as e:
        write_text(tmp_path / "m.json", "new")
    assert str(tmp_path) in str(e.value)
    assert tree(tmp_path) == {"m.json": "old"}

    def write() -> None:
        with staging(tmp_path):
            refuse()

    with pytest.raises(OutputError, match=words):
        write()
    assert tree(tmp_path) == {"m.json": "old"}
    monkeypatch.setattr(module.tempfile, "mkdtemp", refuse)
    with pytest.raises(OutputError, match=words):
        write()


def test_a_file_in_the_way_is_named(tmp_path):
    build(tmp_path, {"file": "x"})

    def write(out: Path) -> None:
        with staging(out):
            raise AssertionError("unreached")

    with pytest.raises(OutputError, match="a file of that name is in the way"):
        write(tmp_path / "file")
    with pytest.raises(OutputError, match="part of the path is a file"):
        write(tmp_path / "file" / "below")
    assert explain(OSError(errno.EIO, "disk on fire"), tmp_path) is None


def test_text_is_written_whole_and_readable(tmp_path):
    write_text(tmp_path / "card ü.json", "größer")
    assert (tmp_path / "card ü.json").read_text(encoding="utf-8") == "größer"
    assert (tmp_path / "card ü.json").stat().st_mode & 0o777 == 0o644
    assert [f.name for f in tmp_path.iterdir()] == ["card ü.json"]
