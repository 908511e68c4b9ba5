"""What came out of plate maps: the annotation of each well, the faults that were found, and both as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...schemas.identifiers import parse_well

if TYPE_CHECKING:
    import pyarrow as pa

#: What inputs are that came with an export: their rows give way to a sheet, which somebody wrote for the lake.
LAYOUT = "assay layout"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateFormat:
    """A plate that annotation may be about."""

    plate_id: str
    n_rows: int
    n_columns: int
    barcode: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """One cell that breaks a rule. ``row`` is the line of the file (the header is 1), ``rule`` a stable code."""

    file: str
    row: int
    column: str
    value: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}{f', {self.column}' if self.column else ''}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """One perturbation of one well: slots of ``perturbations`` and of ``well_perturbations``."""

    perturbation: Mapping[str, Any]
    dose: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WellAnnotation:
    """What a sheet says of one well.

    ``values`` holds the slots of ``wells`` that the sheet has a column for, ``None`` where the cell is empty;
    ``treatments`` is ``None`` where the sheet has no column about treatments, and empty where the well got none.
    ``biosample`` holds the slots of ``biosamples`` that it says of the sample in the well. ``file`` and ``line`` say
    where all this stands. ``role_inferred`` tells that the ``control_type`` follows from the treatment, and no column
    says it in this row; ``columns`` are the slots that the sheet has columns for.
    """

    plate_id: str
    well_id: str
    values: Mapping[str, Any]
    attributes: Mapping[str, str]
    treatments: tuple[Treatment, ...] | None
    biosample: Mapping[str, Any]
    file: str
    line: int
    role_inferred: bool = False
    columns: frozenset[str] = frozenset()

    def slots(self) -> dict[str, Any]:
        """Return the slots of ``wells`` that this sets, those that follow from the treatments included."""
        values = dict(self.values)
        if self.treatments is not None:
            values |= treatment_slots(self.treatments)
        return values


def treatment_slots(treatments: Sequence[Treatment]) -> dict[str, Any]:
    """Return the convenience columns of a well: a label of all, and the values that only one treatment has."""
    one = treatments[0] if len(treatments) == 1 else None
    return {
        "perturbation": " + ".join(t.perturbation["name"] for t in treatments) or None,
        "compound": one.perturbation.get("compound") if one else None,
        "concentration_um": one.dose.get("concentration_um") if one else None,
        "gene": one.perturbation.get("gene") if one else None,
        "n_perturbations": len(treatments),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What sheets say beyond the wells.

    Attributes
    ----------
    study
        Slots of ``studies``.
    biosample
        Slots of ``biosamples`` that hold for every sample of the sheets.
    plate
        Slots of ``plates`` that hold for every plate that the sheets annotate.
    acquisition
        Slots of ``acquisitions``, filled where the microscope left them open.
    plates
        Plate -> slots of ``plates`` that hold for it alone.
    """

    study: Mapping[str, Any] = field(default_factory=dict)
    biosample: Mapping[str, Any] = field(default_factory=dict)
    plate: Mapping[str, Any] = field(default_factory=dict)
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    plates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.study or self.biosample or self.plate or self.acquisition or self.plates)

    def of_plate(self, plate_id: str) -> dict[str, Any]:
        """Return the slots of ``plates`` that are said of a plate."""
        return {**self.plate, **self.plates.get(plate_id, {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationResult:
    """Everything that some sheets say about the wells of a study.

    ``annotations`` are the valid rows in the order of plate and well. Where there are ``errors`` they are not to be
    written, unless the user said that valid rows should be accepted. ``inputs`` are names of files and the SHA-256 of
    their bytes, None where that is not known here; ``facts`` is what was said of the study as a whole. ``origin`` says
    what the inputs are, where they are no sheets that somebody named.
    """

    study_id: str
    run_id: str
    annotations: tuple[WellAnnotation, ...]
    errors: tuple[RowError, ...]
    warnings: tuple[str, ...]
    inputs: tuple[tuple[str, str | None], ...] = field(default=())
    facts: StudyFacts = field(default_factory=lambda: StudyFacts())
    origin: str | None = None

    @property
    def wells(self) -> pa.Table:
        """Rows of ``wells`` for wells that nobody knew before; slots that no sheet speaks of are NULL."""
        return _table("wells", (well_row(a, self.study_id, self.run_id) for a in self.annotations))

    @property
    def perturbations(self) -> pa.Table:
        """Rows of ``perturbations``, each once."""
        return _table("perturbations", perturbation_rows(self.annotations, self.study_id, self.run_id))

    @property
    def well_perturbations(self) -> pa.Table:
        """Rows of ``well_perturbations``."""
        return _table("well_perturbations", dose_rows(self.annotations, self.study_id, self.run_id))

    @property
    def biosamples(self) -> pa.Table:
        """Rows of ``biosamples`` for the samples and cell lines that are named, with what is said of them."""
        return _table("biosamples", biosample_rows(self.annotations, self.study_id, self.run_id, self.facts.biosample))


def well_row(annotation: WellAnnotation, study_id: str, run_id: str) -> dict[str, Any]:
    """Return a whole row of ``wells`` from nothing but its annotation."""
    row, column = parse_well(annotation.well_id)
    values = {"excluded": False, "n_perturbations": 0} | annotation.slots()
    return {
        **values,
        "excluded": bool(values["excluded"]),
        "study_id": study_id,
        "plate_id": annotation.plate_id,
        "well_id": annotation.well_id,
        "row": row,
        "column": column,
        "attributes": dict(annotation.attributes) or None,
        "run_id": run_id,
    }


def perturbation_rows(annotations: Iterable[WellAnnotation], study_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return rows of ``perturbations``; facts that stand in different rows of a sheet are put together."""
    found: dict[str, dict[str, Any]] = {}
    for annotation in annotations:
        for treatment in annotation.treatments or ():
            facts = treatment.perturbation
            known = found.setdefault(facts["perturbation_id"], {"study_id": study_id, "run_id": run_id})
            known.update({name: value for name, value in facts.items() if value is not None})
    return list(found.values())


def dose_rows(annotations: Iterable[WellAnnotation], study_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return rows of ``well_perturbations``."""
    return [
        {
            "study_id": study_id,
            "plate_id": annotation.plate_id,
            "well_id": annotation.well_id,
            "perturbation_id": treatment.perturbation["perturbation_id"],
            **treatment.dose,
            "run_id": run_id,
        }
        for annotation in annotations
        for treatment in annotation.treatments or ()
    ]


def biosample_rows(
    annotations: Iterable[WellAnnotation], study_id: str, run_id: str, facts: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return rows of ``biosamples`` for every sample that a well names, with what is said of it."""
    found: dict[str, dict[str, Any]] = {}
    for annotation in annotations:
        name = annotation.values.get("biosample_id")
        if name is not None:
            row = found.setdefault(
                name, {"study_id": study_id, "biosample_id": name, "run_id": run_id, **(facts or {})}
            )
            row.update({slot: value for slot, value in annotation.biosample.items() if value is not None})
    return list(found.values())


def _table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    from ...schemas.tables import arrow_schema

    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))
