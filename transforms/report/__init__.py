"""The quality report of plates: what is wrong in words, then heat maps, controls, effects of place, and the fields.

It reads tables and images through ``store`` and computes no pixels anew: what it says, SQL can ask of the table
``quality``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store.plates import imaged_plates
from ...store.registry import resolve
from ..outputs import check_outputs, write_output
from .data import NotTransformedError, PlateQuality, Series, read_plate
from .judgement import effect_sentences, effects, problems, separations
from .page import CLOSING, Findings, opening, plate_section
from .poster import poster
from .thumbnails import pairs

if TYPE_CHECKING:
    from ...store.root import LakeRoot

__all__ = ["report"]

Progress = Callable[[int, int], None]


def report(
    root: LakeRoot,
    *,
    study_id: str,
    plate_ids: Sequence[str] = (),
    output: str | Path,
    png: str | Path | None = None,
    feature_set: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the quality report of plates of a study.

    Parameters
    ----------
    root
        The lake.
    study_id, plate_ids
        Which plates; all of the study that were transformed when none is named.
    output
        The HTML file, written anew.
    png
        A picture beside it; of several plates, one each with ``-<plate>`` before the suffix.
    feature_set
        ``name@version``, name or hash; of each plate the one that was computed last when None.
    progress
        Called with (plates done, plates in all).

    Returns
    -------
    dict
        ``path``, ``pictures``, ``plates`` (``plate_id``, ``feature_set``, ``wells``, ``fields``, ``problems``,
        ``notes``, ``effects``, ``z_prime``) and ``warnings``: plates left out, because they were not transformed.

    Raises
    ------
    NotFoundError
        There is no such study, plate or feature set, or no plate was transformed yet.
    UsageError
        The folder of a file to be written is not there.
    StorageError
        A file cannot be written.
    """
    files = [Path(output), *([Path(png)] if png is not None else [])]
    check_outputs(files)
    wanted = None if feature_set is None else resolve(root, feature_set).hash
    rows = imaged_plates(root, study_id, plate_ids)
    sections: list[str] = []
    pictures: list[str] = []
    described: list[dict[str, Any]] = []
    missing: list[NotTransformedError] = []
    for done, row in enumerate(rows, start=1):
        try:
            findings = _findings(root, read_plate(root, row, wanted))
        except NotTransformedError as error:
            if plate_ids:
                raise
            missing.append(error)
        else:
            sections.append(plate_section(findings, len(sections)))
            described.append(_described(findings))
            if png is not None:
                target = Path(png)
                if len(rows) > 1:
                    target = target.with_stem(f"{target.stem}-{findings.plate.plate_id}")
                write_output(target, poster(findings))
                pictures.append(str(target))
        if progress is not None:
            progress(done, len(rows))
    if not sections:
        raise missing[0]
    warnings = [f"left out: {error.message}" for error in missing]
    page = [opening(study_id, [plate["plate_id"] for plate in described]), *sections, CLOSING]
    write_output(Path(output), "".join(page).encode())
    return {"path": str(output), "pictures": pictures, "plates": described, "warnings": warnings}


def _findings(root: LakeRoot, plate: PlateQuality) -> Findings:
    found, notes = problems(plate)
    shown, missing = pairs(root.storage, plate, found)
    return Findings(
        plate=plate,
        problems=found,
        notes=[*notes, *missing],
        effects=effects(plate),
        separations=separations(plate),
        thumbnails=shown,
    )


def _described(findings: Findings) -> dict[str, Any]:
    plate = findings.plate
    return {
        "plate_id": plate.plate_id,
        "feature_set": plate.feature_set,
        "wells": len(plate.fields_of_wells),
        "fields": len(plate.fields),
        "problems": [
            {
                "problem": one.kind.lower(),
                "well_id": one.well_id,
                "field_id": one.field_id,
                "of": list(one.names),
                "sentence": one.sentence,
            }
            for one in findings.problems
        ],
        "notes": [*findings.notes, *effect_sentences(findings.effects)],
        "effects": [
            {**_about(one.series), "place": one.place, "ratio": one.ratio, "p": one.chance}
            for one in findings.effects
            if one.matters or one.place == "edge"
        ],
        "z_prime": [{**_about(one.series), "z_prime": one.z_prime} for one in findings.separations],
    }


def _about(series: Series) -> dict[str, str]:
    return {"metric": series.metric, "of": series.name}
