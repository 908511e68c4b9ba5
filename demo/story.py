"""Two studies, one question: what a newcomer sees first, and what proves that the parts fit.

Two laboratories treat cells with the same compound and photograph them in the same stains, but their
microscopes call the channels differently, their cameras have other pixels, and one plate lost a field. Both
exports go in; one SQL question over both plates comes out, each plate measured against its own controls.
The exports are synthetic, so the true effect is known and stands beside the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..lake import Lake, init_lake
from .synthetic import AGP, CONTROL, DNA, ER, Phenotype, PlateSpec, Truth, make_export

RECIPE = "nuclei-and-cells"
#: The compound that both studies used, and by how much it enlarges the area of a nucleus.
SHARED_COMPOUND = "inflatin"
SHARED_EFFECT = 1.40
#: Labels that name a dye, not what it is bound to: their role is said at ingest.
GENERIC_LABELS = {"Alexa 488", "Alexa 568", "WGA 555"}

QUESTION = "By how much does inflatin enlarge nuclei, against each plate's own controls?"
SQL = """\
SELECT study_id, plate_id,
       count(*) FILTER (control_type = 'negative_vehicle') AS control_nuclei,
       count(*) FILTER (compound = 'inflatin') AS treated_nuclei,
       avg(Nuclei_AreaShape_Area) FILTER (compound = 'inflatin')
         / avg(Nuclei_AreaShape_Area) FILTER (control_type = 'negative_vehicle') AS effect
FROM nuclei
GROUP BY ALL
ORDER BY study_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStudy:
    """One of the two studies: what went in, and what is true about it.

    ``channels`` are pairs of the microscope's label and the stain's role; ``roles`` those of them that only a person
    can know (label to role), because the label names a dye that stains anything. ``effect_put_in`` is the factor
    asked for, ``effect_drawn`` the ratio of the mean areas of the nuclei as drawn (whole ones only).
    """

    study_id: str
    plate_id: str
    export: Path
    plate_map: Path
    channels: tuple[tuple[str, str], ...]
    roles: Mapping[str, str]
    wells: int
    fields: int
    missing_fields: int
    effect_put_in: float
    effect_drawn: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One row of the answer: ``effect`` is mean treated area over mean control area of the same plate."""

    study_id: str
    plate_id: str
    control_nuclei: int
    treated_nuclei: int
    effect: float
    truth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Everything the demo did, for somebody else to print. ``seconds`` is wall time by step, in order."""

    directory: Path
    lake: Path
    studies: tuple[DemoStudy, ...]
    question: str
    sql: str
    answer: tuple[Comparison, ...]
    seconds: Mapping[str, float]
    next_steps: tuple[str, ...]


def specs() -> dict[str, PlateSpec]:
    """Plates of the two studies by study: 12 wells × 4 fields × 3 stains each, small enough for a laptop."""
    treated = Phenotype(
        compound=SHARED_COMPOUND,
        concentration_um=10.0,
        control_type="treatment",
        nucleus_area=SHARED_EFFECT,
        cell_area=1.15,
    )
    smaller = Phenotype(
        compound="contractin", concentration_um=5.0, control_type="treatment", nucleus_area=0.8, cell_area=0.7
    )
    brighter = Phenotype(
        compound="lucentin", concentration_um=1.0, control_type="treatment", intensity={"ER": 1.6}, count=0.8
    )
    return {
        "heidelberg": PlateSpec(
            plate_id="HD-0042",
            wells=_four_columns(CONTROL, treated, smaller, CONTROL),
            stains=(DNA.named("HOECHST 33342"), ER.named("Alexa 488"), AGP.named("Alexa 568")),
            missing_fields=(("B02", 3),),
            seed=42,
        ),
        "boston": PlateSpec(
            plate_id="BOS-7",
            wells=_four_columns(CONTROL, brighter, CONTROL, treated),
            # Other filters, other names, another order, other pixels; and a newer Harmony.
            stains=(AGP.named("WGA 555"), DNA.named("DAPI"), ER.named("Concanavalin A")),
            pixel_size_um=0.65,
            layout="V7",
            bom=True,
            seed=7,
        ),
    }


def run_demo(directory: str | Path, *, progress: Callable[[str, int, int], None] | None = None) -> DemoResult:
    """Make two exports, take both into a new lake, ask one question across them.

    Everything lies in ``directory`` afterwards: ``exports/<study>/`` and ``lake/``. ``progress`` is called
    with the step at hand, how much of it is done, and of how much.

    Raises
    ------
    UsageError
        When ``directory`` holds something already.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            f"{directory} is there already and not empty",
            hint="Name a folder that does not exist yet with --directory.",
        )
    seconds: dict[str, float] = {}

    def follow(step: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(step, done, total)

    @contextmanager
    def timed(step: str) -> Iterator[Callable[[int, int], None] | None]:
        start = time.perf_counter()
        yield follow(step)
        seconds[step] = time.perf_counter() - start

    studies = []
    for study_id, spec in specs().items():
        with timed(f"make {study_id}") as report:
            folder = directory / "exports" / study_id / f"{spec.plate_id}__2026-01-15T09_30_00-Measurement 1"
            studies.append(_study(study_id, make_export(folder, spec, progress=report)))

    root = directory / "lake"
    lake = init_lake(root, name="demo")
    for study in studies:
        with timed(f"ingest {study.study_id}") as report:
            lake.ingest(
                study.export,
                study=study.study_id,
                plate_map=study.plate_map,
                roles=study.roles,
                progress=report,
            )
    for study in studies:
        with timed(f"transform {study.study_id}") as report:
            lake.transform(study=study.study_id, recipe=RECIPE, progress=report)
    with timed("ask"):
        answer = _ask(lake, studies)
    return DemoResult(
        directory=directory,
        lake=root,
        studies=tuple(studies),
        question=QUESTION,
        sql=SQL,
        answer=answer,
        seconds=seconds,
        next_steps=(
            f"export CYTOLAKE_LAKE='{root}'",
            "cytolake catalog tables",
            'cytolake sql "SELECT compound, count(*), avg(Cells_AreaShape_Area) FROM cells GROUP BY 1"',
            f"cytolake profile {' '.join(f'--study {one.study_id}' for one in studies)}",
            f"cytolake lineage {studies[0].study_id}/{studies[0].plate_id}/A01",
        ),
    )


def _four_columns(*phenotypes: Phenotype) -> dict[str, Phenotype]:
    """Rows A to C, columns 1 to 4, one phenotype a column."""
    return {f"{row}{column:02}": what for row in "ABC" for column, what in enumerate(phenotypes, start=1)}


def _study(study_id: str, truth: Truth) -> DemoStudy:
    spec = truth.spec
    return DemoStudy(
        study_id=study_id,
        plate_id=spec.plate_id,
        export=truth.export,
        plate_map=truth.plate_map,
        channels=tuple((stain.label, stain.role) for stain in spec.stains),
        roles={stain.label: stain.role for stain in spec.stains if stain.label in GENERIC_LABELS},
        wells=len(spec.wells),
        fields=len(spec.wells) * spec.n_fields,
        missing_fields=len(spec.missing_fields),
        effect_put_in=SHARED_EFFECT,
        effect_drawn=effect_drawn(truth, SHARED_COMPOUND),
    )


def effect_drawn(truth: Truth, compound: str) -> float:
    """Mean area of the whole nuclei under ``compound``, over that of the whole nuclei of the vehicle controls."""
    wells = [str(well) for well in truth.objects["well_id"].to_pylist()]
    area = truth.objects["nucleus_area_px"].to_numpy()
    whole = ~truth.objects["touches_border"].to_numpy(zero_copy_only=False)
    held = truth.spec.wells
    treated = np.array([held[well].compound == compound for well in wells])
    control = np.array([held[well].control_type == "negative_vehicle" for well in wells])
    return float(area[treated & whole].mean() / area[control & whole].mean())


def _ask(lake: Lake, studies: list[DemoStudy]) -> tuple[Comparison, ...]:
    truth = {study.study_id: study.effect_put_in for study in studies}
    rows = lake.sql(SQL).to_arrow().to_pylist()
    return tuple(Comparison(**row, truth=truth[row["study_id"]]) for row in rows)
