"""The process that answers one question: started as a script, it limits itself and then hands over to :mod:`.engine`.

Its interpreter is isolated (``-I -S``: no environment, no user's packages, no start-up files); its environment, its
folder and its files are those that it was given: a pipe to hear from, one to answer to, a file with the rows.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import resource
import signal
import sys
from pathlib import Path
from types import ModuleType


def main(seconds: str, spool: str, answer: str) -> None:
    """Answer the question that comes through the standard input."""
    # The end even where the parent is gone and the engine is deaf.
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    here = Path(__file__).resolve()
    # By path: the name of the package, and where it may be imported from, come with the question.
    frames = _module("frames", here.with_name("frames.py"))
    _, payload = frames.read_frame(0)
    setup = json.loads(payload)
    sys.path[:] = setup["path"]
    # Whatever would like to use them does without: they take longer to load than all the rest.
    sys.modules.update(dict.fromkeys(("pandas", "numpy")))  # type: ignore[arg-type]
    package = setup["package"]
    root = here.parents[2]
    _module(package, root / "__init__.py", folder=root)
    engine = importlib.import_module(f"{package}.catalog.sandbox.engine")
    engine.serve(setup, spool=int(spool), source=0, target=int(answer))


def _module(name: str, path: Path, folder: Path | None = None) -> ModuleType:
    places = None if folder is None else [str(folder)]
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
