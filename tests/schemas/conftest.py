"""Where linkml lives: an environment of its own, made by ``make schemas``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def linkml_python() -> Path:
    """The interpreter that has linkml."""
    named = os.environ.get("CYTOLAKE_LINKML_PYTHON")
    python = Path(named) if named else CHECKOUT / ".venv-linkml" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no linkml environment at {python}; run `make schemas` or set CYTOLAKE_LINKML_PYTHON")
    return python
