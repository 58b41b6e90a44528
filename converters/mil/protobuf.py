"""coremltools' protobuf classes without the rest of it, which takes several times torch to import.

coremltools tries every framework it could convert from; of all that, reading a package needs the
generated classes only. They import each other by relative names, so that their folder loads alone.
"""

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ..target import require


@cache
def classes() -> ModuleType:
    """The package with Model_pb2, MIL_pb2 and their like; MissingRuntime without coremltools."""
    require("coreml", ("coremltools",))
    if "coremltools" in sys.modules:
        from coremltools import proto

        return proto
    found = find_spec("coremltools")
    assert found  # `require` saw it
    assert found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "proto"
    name = f"{__name__}.coremltools"
    spec = spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec
    assert spec.loader
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
