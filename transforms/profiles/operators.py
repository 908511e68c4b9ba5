"""The operators that a profile recipe may name in its steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...wording import did_you_mean
from ..parameters import BadParameterError
from .combat import ComBat
from .harmony import Harmony
from .inverse_normal import InverseNormal
from .normalize import Robustize, RobustZ, Standardize
from .operator import Operator
from .select import Select
from .spherize import Spherize

#: Name → operator; a new one is one more word here. Each is a dataclass whose fields are its settings, and refuses bad
#: ones with ``BadParameterError`` when it is made. With ``complete(settings, folder)`` it reads what they name first.
OPERATORS: Mapping[str, type[Operator]] = {
    one.name: one for one in (RobustZ, Standardize, Robustize, Select, Spherize, InverseNormal, Harmony, ComBat)
}

#: What other tools call them, for messages.
_ELSEWHERE = {
    "mad_robustize": 'robust_z, with compat = "pycytominer" for the same numbers',
    "feature_select": "select",
    **{
        name: f'select with operations = ["{name}"]'
        for name in ("variance_threshold", "correlation_threshold", "drop_na_columns", "drop_outliers", "blocklist")
    },
}


def make_operator(name: str, settings: Mapping[str, Any], *, folder: Path | None = None) -> Operator:
    """Make an operator with the settings of a recipe, completed with the defaults.

    Parameters
    ----------
    name
        A key of :data:`OPERATORS`.
    settings
        Setting → value, as TOML or JSON has them; :meth:`Operator.settings` of an operator makes an equal one.
    folder
        Where relative paths in settings begin; the working directory by default.

    Raises
    ------
    BadParameterError
        The operator or a setting is unknown, or a value is of the wrong type or out of bounds.
    """
    if name not in OPERATORS:
        guess = f"; here it is {_ELSEWHERE[name]}" if name in _ELSEWHERE else did_you_mean(name, OPERATORS)
        raise BadParameterError("operator", f"unknown operator {name!r}{guess}", ", ".join(OPERATORS))
    kind: Any = OPERATORS[name]
    known = [one.name for one in dataclasses.fields(kind)]
    for key in settings:
        if key not in known:
            allowed = ", ".join(known) or "no setting at all"
            raise BadParameterError(key, f"unknown setting of {name}{did_you_mean(key, known)}", allowed)
    if hasattr(kind, "complete"):
        settings = kind.complete(settings, Path.cwd() if folder is None else folder)
    made: Operator = kind(**settings)
    return made
