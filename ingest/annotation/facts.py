"""Facts beyond the wells: of the study, its samples, plates and acquisitions, checked like everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...schemas.validation import validate_records
from .kinds.base import Fact
from .result import RowError, StudyFacts

#: Facts of one sample: with several in a study they can be said of none.
_OF_ONE_SAMPLE = frozenset({"clone", "passage", "genotype"})
_CLASSES = {"study": "Study", "biosample": "Biosample"}


def check_facts(
    facts: Iterable[Fact], maps: Mapping[str, str], *, study_id: str, samples: int, wells: int
) -> tuple[StudyFacts, list[RowError], list[str]]:
    """Put facts together.

    Parameters
    ----------
    maps
        Plate -> name of the map that it was made from.
    samples
        How many samples the wells name.
    wells
        How many wells there are.

    Returns
    -------
    facts, errors, warnings
        Facts that contradict each other or break a rule are errors, and left out.
    """
    errors: list[RowError] = []
    warnings: list[str] = []
    records: dict[str, dict[str, Fact]] = {}
    wrong: set[tuple[str, str]] = set()
    for fact in facts:
        first = records.setdefault(fact.record, {}).setdefault(fact.slot, fact)
        if first.value != fact.value:
            wrong.add((fact.record, fact.slot))
            there = f"row {first.place.row} of {first.place.file}"
            message = f"{fact.slot} is {fact.value!r} here and {first.value!r} in {there}"
            errors.append(fact.place.error("conflict", str(fact.value), message))
    for record, class_name in _CLASSES.items():
        for slot, error in _check(class_name, records.get(record, {}), study_id):
            wrong.add((record, slot))
            errors.append(error)
    for record, slot in wrong:
        del records[record][slot]
    sample = records.get("biosample", {})
    if sample and wells and not samples:
        warnings.append(f"{_names(sample)}: no well names a sample or cell line that this could be said of")
        sample = {}
    elif samples > 1 and sample.keys() & _OF_ONE_SAMPLE:
        lost = {slot: fact for slot, fact in sample.items() if slot in _OF_ONE_SAMPLE}
        warnings.append(f"{_names(lost)}: said of {samples} samples at once, and kept of none")
        sample = {slot: fact for slot, fact in sample.items() if slot not in _OF_ONE_SAMPLE}
    return (
        StudyFacts(
            study=_values(records.get("study", {})),
            biosample=_values(sample),
            plate=_values(records.get("plate", {})),
            acquisition=_values(records.get("acquisition", {})),
            plates={plate: {"plate_map_name": name} for plate, name in maps.items()},
        ),
        errors,
        warnings,
    )


def _values(facts: Mapping[str, Fact]) -> dict[str, Any]:
    return {slot: fact.value for slot, fact in facts.items()}


def _names(facts: Mapping[str, Fact]) -> str:
    first = next(iter(facts.values()))
    return f"{first.place.file}, {', '.join(fact.place.column for fact in facts.values())}"


def _check(class_name: str, facts: Mapping[str, Fact], study_id: str) -> list[tuple[str, RowError]]:
    """Check facts against the schema, by slot; required slots that are not said are not theirs to say."""
    if not facts:
        return []
    record = {"study_id": study_id, "run_id": "check", "title": study_id, "biosample_id": "sample"}
    if class_name == "Study":
        del record["biosample_id"]
    else:
        del record["title"]
    errors = []
    for problem in validate_records(class_name, [{**record, **_values(facts)}]):
        fact = facts.get(problem.slot.partition(".")[0])
        if fact is not None:
            value = fact.value if problem.value is None else problem.value
            errors.append((fact.slot, fact.place.error(problem.rule, str(value), problem.message)))
    return errors
