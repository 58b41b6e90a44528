"""An ARM64 Python with the runtimes, run by qemu: `python tests/arm64/rootfs.py FOLDER`.

    FOLDER/root                a file tree of Debian's arm64 packages and aarch64 wheels
    FOLDER/python-cortex-a76   starts its Python on an emulated Cortex-A76: dot products, fp16
    FOLDER/python-max          with what qemu knows besides: i8mm, bf16, SVE2

Needs Debian's qemu-user-static, apt and dpkg; apt works in a state of its own, so that nothing here
is installed or asked for. Made once: a tree of the same sources is left as it is.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = "bookworm"  # whose Python is 3.11
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBS = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgomp1")
WHEELS = ("numpy", "psutil", "onnxruntime", "onnx", "ai-edge-litert")
# From torch 2.11 on, the aarch64 wheels at PyPI are for CUDA, whose libraries are 3 GB more.
EXECUTORCH = ("executorch==1.1.0", "torch==2.10.0", "torchao==0.15.0")
OF_TORCH = (
    "filelock",
    "fsspec",
    "jinja2",
    "markupsafe",
    "mpmath",
    "networkx",
    "sympy",
    "typing-extensions",
)
# Without SME, whose integer outer product is wrong in qemu 7.2.22: SMOPA alone, twenty lines of
# assembly, gives a quarter of its sums right, and a .tflite of int8 scores that mean nothing.
CPUS = {"cortex-a76": "cortex-a76", "max": "max,sme=off"}
CONSTRAINTS = Path(__file__).parent.parent.parent / "constraints.txt"
# qemu 7.2 shows its host's /proc/cpuinfo, and onnxruntime dies of an x86 one. What the kernels are
# chosen by is another thing, the auxiliary vector, which says what the emulated CPU can do.
CPUINFO = """processor\t: {number}
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm lrcpc asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
# Python finds its own name in argv[0], and starts children by it: those must be emulated, too.
PYTHON = """#!/bin/sh
PYTHONHOME={root}/usr exec qemu-aarch64-static -cpu {cpu} -0 "$0" -L {root} \\
    {root}/usr/bin/python3.11 "$@"
"""
APT = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
Dir::Etc::SourceList "{state}/sources.list";
Dir::Etc::SourceParts "-";
Debug::NoLocking "true";
"""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    root, ready = folder / "root", folder / "ready"
    key = hashlib.sha256(Path(__file__).read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    if not (ready.exists() and ready.read_text() == key):
        ready.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        unpack_debs(folder / "apt", root)
        install_wheels(root / "usr" / "lib" / "python3" / "dist-packages")
        (root / "proc").mkdir()
        cores = range(os.cpu_count() or 1)
        (root / "proc" / "cpuinfo").write_text("".join(CPUINFO.format(number=n) for n in cores))
        ready.write_text(key)
    for name, cpu in CPUS.items():
        python = folder / f"python-{name}"
        python.write_text(PYTHON.format(root=root.resolve(), cpu=cpu))
        python.chmod(0o755)


def unpack_debs(state: Path, root: Path) -> None:
    """Debian's packages and what they depend on, unpacked and not configured."""
    for place in ("lists/partial", "cache/archives/partial"):
        (state / place).mkdir(parents=True, exist_ok=True)
    (state / "status").write_text("")
    asked = ["Created-By: Packages", f"Codename: {SUITE}", "Component: main"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *asked]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    mirror = next(iter(said), None)  # where this machine has its packages from
    if mirror is None:
        raise SystemExit(
            f"apt here has no source of Debian's {SUITE}: add one, then apt-get update"
        )
    source = f"deb [arch=arm64 signed-by={KEYRING}] {mirror} {SUITE} main\n"
    (state / "sources.list").write_text(source)
    (state / "apt.conf").write_text(APT.format(state=state.resolve()))
    env = {**os.environ, "APT_CONFIG": str(state / "apt.conf")}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=env)
    fetch = ["apt-get", "install", "-qy", "--no-install-recommends", "--download-only", *DEBS]
    subprocess.run(fetch, check=True, env=env)
    root.mkdir()
    for deb in sorted((state / "cache" / "archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
    shutil.rmtree(state)


def install_wheels(place: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "-q", "--target", str(place), "--python-version", "3.11"]
    command += ["--python-platform", "aarch64-manylinux_2_28", "--only-binary", ":all:"]
    constraints = ["-c", str(CONSTRAINTS)]
    subprocess.run([*command, *constraints, *WHEELS], check=True)
    subprocess.run([*command, *constraints, "--no-deps", *OF_TORCH], check=True)
    subprocess.run([*command, "--no-deps", *EXECUTORCH], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
