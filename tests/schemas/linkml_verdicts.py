"""Judge examples with LinkML's own validator; run by path in an environment that has linkml.

Reads ``[[class name, record], ...]`` as JSON from standard input and writes, for each, the list of what is wrong.
Rules that JSON Schema cannot say come in as a LinkML validation plug-in over :mod:`cytolake.schemas.checks`.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

from linkml.validator import Validator
from linkml.validator.plugins import JsonschemaValidationPlugin, ValidationPlugin
from linkml.validator.report import Severity, ValidationResult

CHECKOUT = Path(__file__).resolve().parents[2]


def import_checks():
    """Import the plain rules without the package being installed here."""
    package = types.ModuleType("cytolake")
    package.__path__ = [str(CHECKOUT)]
    sys.modules["cytolake"] = package
    from cytolake.schemas import checks

    return checks


class RulesPlugin(ValidationPlugin):
    """The rules that JSON Schema cannot say."""

    def __init__(self):
        self.find_faults = import_checks().find_faults

    def process(self, instance, context):
        for fault in self.find_faults(context.target_class, instance):
            yield ValidationResult(
                type="rule", severity=Severity.ERROR, message=f"{fault.slot} {fault.message} ({fault.rule})"
            )


def main():
    validator = Validator(
        str(CHECKOUT / "schemas" / "cytolake.yaml"), [JsonschemaValidationPlugin(closed=True), RulesPlugin()]
    )
    verdicts = [
        [result.message for result in validator.validate(record, class_name).results]
        for class_name, record in json.load(sys.stdin)
    ]
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
