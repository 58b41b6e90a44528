"""edgevit doctor"""

from pathlib import Path
from typing import Any

import click

from .screen import Screen, screened


@click.command()
@screened
def command(screen: Screen) -> None:
    """Say what is installed, whether it is what was tested, and how to get what is missing."""
    import platform

    from rich.table import Table

    from ..profiles.devices import host
    from .choices import TARGET_NAMES

    tested = _constraints()
    targets = [_target(name, tested) for name in TARGET_NAMES]
    core = [_package(name, tested) for name in ("torch", "timm", "numpy")]
    devices = [_package(name, tested) for name in ("adbutils", "asyncssh")]
    machine = host.describe()
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading in ("runtime", "package", "installed", "tested", ""):
        table.add_column(heading, overflow="fold")
    parts = [("core", core), *((t["target"], t["packages"]) for t in targets), ("devices", devices)]
    for title, packages in parts:
        for i, p in enumerate(packages):
            table.add_row(
                title if not i else "", p["package"], p["installed"] or "–", p["tested"], p["said"]
            )
    facts = {"python": platform.python_version(), **machine}
    screen.show(table, "")
    screen.show(*(f"{k}: {_text(v)}" for k, v in facts.items()))
    missing = [t for t in targets if any(not p["installed"] for p in t["packages"])]
    for target in missing:
        screen.show(f"missing: {target['target']}: pip install 'edgevit[{target['target']}]'")
    screen.json({"machine": facts, "core": core, "targets": targets, "devices": devices})


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _target(name: str, tested: dict[str, str]) -> dict[str, Any]:
    from ..converters.target import find

    packages = [_package(n.replace("_", "-"), tested) for n in find(name).needs]
    return {"target": name, "packages": packages, "runs_here": find(name).runs_here}


def _package(name: str, tested: dict[str, str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version(name)
    except PackageNotFoundError:
        installed = ""
    wanted = tested.get(name, "")
    plain = installed.partition("+")[0]  # without a local build tag such as +cu130
    said = "missing" if not installed else "ok" if plain == wanted else "not the version tested"
    return {"package": name, "installed": installed, "tested": wanted, "said": said}


def _constraints() -> dict[str, str]:
    """Package → version of constraints.txt, beside us in a wheel, above us in a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package, package.parent):
        if (file := folder / "constraints.txt").is_file():
            pairs = (line.partition("==") for line in file.read_text().splitlines())
            return {name.strip(): v.strip() for name, sep, v in pairs if sep}
    return {}
