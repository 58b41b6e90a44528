"""The user's own model: "path/to/file.py:callable", imported without leaving a trace.

The file's folder is on sys.path while the file is imported and the model is built, and the modules
it brought are forgotten afterwards, so that two projects with a `layers.py` each do not mix.
"""

import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from edgevit.errors import EdgevitError, InputError, UnknownName
from edgevit.lookup import unknown
from edgevit.preprocess import Preprocess

from .model import Model
from .zoo import Asked, example


def build_user(name: str, *, asked: Asked) -> Model:
    """The model that `name`'s callable returns: a module, or (module, example inputs)."""
    file, attribute = _place(name)
    given = {k: v for k, v in asdict(asked).items() if k != "seed" and v not in (None, False)}
    with _visiting(file.parent), _blaming(file):
        user = _import(file)
        found = _find(user, attribute, file)
        returned, taken = _call(found, given, name)
        sources = tuple(sorted({file, *_files(file.parent).values()}))
    module, inputs = _parts(returned, name)
    left = set(given) - taken - ({"input_size"} if inputs is None else set())
    if left:
        raise InputError(f"{name} takes no {' and no '.join(sorted(left))}; leave it out")
    preprocess = _preprocess(module, None if inputs else asked.input_size)
    if inputs is None:
        inputs = example(_shape(module, asked.input_size, preprocess), seed=asked.seed)
    return Model(name, module, inputs, preprocess, sources)


def called(name: str, *, most: int) -> list[Any]:
    """The first `most` things that `name`'s callable, without arguments, returns or yields."""
    file, attribute = _place(name)
    with _visiting(file.parent), _blaming(file):
        return [*islice(_find(_import(file), attribute, file)(), most)]


def _place(name: str) -> tuple[Path, str]:
    """The file and what to take from it."""
    path, colon, attribute = name.rpartition(":")
    if not colon or not attribute.isidentifier():
        raise InputError(f"{name!r} names no callable; write path/to/file.py:callable")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise InputError(f"there is no file {path!r} to take {attribute!r} from; check the path")
    return file, attribute


def _import(file: Path) -> ModuleType:
    # A name of its own: a user's torch.py or random.py must not replace the real one.
    unique = f"edgevit_user_{sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(unique, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses and torch.compile look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _find(user: ModuleType, attribute: str, file: Path) -> Any:
    if not hasattr(user, attribute):
        own = [k for k, v in vars(user).items() if getattr(v, "__module__", "") == user.__name__]
        raise UnknownName(f"{file.name}: {unknown('callable', attribute, own)}")
    found = getattr(user, attribute)
    if not callable(found):
        kind = type(found).__name__
        raise InputError(f"{attribute!r} in {file.name} is a {kind}; name a function or a class")
    return found


def _call(found: Any, given: dict[str, Any], name: str) -> tuple[Any, set[str]]:
    """What the callable returns, and which of the `given` values it took."""
    if isinstance(found, nn.Module):  # a module made at import
        return found, set()
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # something compiled, without a signature
        parameters = {}.values()
    accepted = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    kwargs = {k: v for k, v in given.items() if k in accepted}
    required = [
        p.name
        for p in parameters
        if p.default is p.empty and p.name in accepted and p.name not in kwargs
    ]
    if required:
        raise InputError(f"{name} needs {', '.join(required)}; give defaults in the file")
    return found(**kwargs), set(kwargs)


def _parts(returned: Any, name: str) -> tuple[nn.Module, tuple[Tensor, ...] | None]:
    module, inputs = returned, None
    if isinstance(returned, tuple) and len(returned) == 2:
        module, inputs = returned
        inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
        if not isinstance(inputs, tuple | list) or not all(isinstance(t, Tensor) for t in inputs):
            raise InputError(
                f"{name} returned {type(inputs).__name__} as example inputs; return a tensor or a "
                "tuple of tensors"
            )
        inputs = tuple(t.detach().float() if t.is_floating_point() else t for t in inputs)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{name} returned {type(returned).__name__}; return an nn.Module, or a pair of an "
            "nn.Module and example inputs"
        )
    return module, inputs


def _preprocess(module: nn.Module, input_size: int | None) -> Preprocess | None:
    found = getattr(module, "preprocess", None)
    if isinstance(found, dict):
        found = Preprocess.from_dict(found)
    if not isinstance(found, Preprocess):  # many modules have a method or a layer of this name
        return None
    return found if input_size is None else replace(found, height=input_size, width=input_size)


def _shape(
    module: nn.Module, input_size: int | None, preprocess: Preprocess | None
) -> tuple[int, ...]:
    """[C, H, W] of the example input: what was asked, what the module says, or 3×224×224."""
    if preprocess is not None:
        return len(preprocess.channels), preprocess.height, preprocess.width
    config = getattr(module, "default_cfg", None)
    said = getattr(module, "input_size", None)
    if said is None and isinstance(config, dict):
        said = config.get("input_size")
    sizes = (said,) if isinstance(said, int) else tuple(said or (224,))
    if not 1 <= len(sizes) <= 3 or not all(isinstance(s, int) and s > 0 for s in sizes):
        raise InputError(f"the module's input_size is {said!r}; give S, (H, W) or (C, H, W)")
    channels = sizes[0] if len(sizes) == 3 else 3
    height, width = (input_size, input_size) if input_size else (sizes[-2:] * 2)[:2]
    return channels, height, width


def _files(folder: Path) -> dict[str, Path]:
    """The modules now loaded from `folder`, by name."""
    found = {}
    for key, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None)
        # Thousands of modules are loaded: the text first, which costs nothing.
        if (
            isinstance(place, str)
            and place.startswith(str(folder))
            and _is_users(Path(place), folder)
        ):
            found[key] = Path(place)
    return found


def _is_users(path: Path, folder: Path) -> bool:
    """In the folder, but neither installed below it nor edgevit itself."""
    ours = Path(__file__).resolve().parent.parent
    return (
        path.is_relative_to(folder)
        and "site-packages" not in path.parts
        and not path.is_relative_to(ours)
    )


@contextlib.contextmanager
def _visiting(folder: Path) -> Iterator[None]:
    path, bytecode, before = list(sys.path), sys.dont_write_bytecode, set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # nothing is left in the user's folder
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        for key in _files(folder):
            # Part of a package that was there before stays with it; so does the user's file itself.
            if key.partition(".")[0] not in before and not key.startswith("edgevit_user_"):
                del sys.modules[key]


@contextlib.contextmanager
def _blaming(file: Path) -> Iterator[None]:
    """Turn what the user's code raises into an InputError that names the line."""
    try:
        yield
    except EdgevitError:
        raise
    except (Exception, SystemExit) as e:
        places = [
            (Path(frame.filename), frame.lineno)
            for frame in traceback.extract_tb(e.__traceback__)
            if _is_users(Path(frame.filename).resolve(), file.parent)
        ]
        if isinstance(e, SyntaxError) and e.filename and Path(e.filename).is_file():
            places.append((Path(e.filename), e.lineno))
        where = f"{places[-1][0].name}, line {places[-1][1]}" if places else file.name
        said = (str(e).strip() or "no message").splitlines()[0][:200]
        raise InputError(f"{where}: {type(e).__name__}: {said}") from e
