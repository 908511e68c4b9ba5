"""Make a plate as an Opera Phenix would export it, with everything known that a real plate hides.

A :class:`PlateSpec` says what is on the plate: wells and the phenotype in each, stains and the labels the
microscope gives them, fields, sizes, and what goes wrong. :func:`make_export` writes it; the :class:`Truth`
that it returns knows every nucleus and cell. The same spec gives the same bytes.
"""

from __future__ import annotations

import csv
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import tifffile

from ..errors import UsageError
from ..schemas.identifiers import format_well, parse_well
from .harmony_files import (
    INDEX_NAMES,
    ChannelFacts,
    Layout,
    PlaneFacts,
    assay_layout_xml,
    flatfield_text,
    index_xml,
)
from .scene import VIGNETTING, CellShapes, Defect, Labels, Pattern, draw_shapes, expose, light, spoil
from .truth_table import measure, objects_table

if TYPE_CHECKING:
    import pyarrow as pa

#: Radii of a control nucleus and a control cell.
NUCLEUS_RADIUS_UM = 6.4
CELL_RADIUS_UM = 15.5
#: Share of the grid's places that hold a cell; spacing follows from the density asked for.
_KEEP = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Stain:
    """One channel: what it shows (``role``, ``pattern``) and what the microscope calls it (``label``).

    Wavelengths in nm, 0 for none; ``brightness`` and ``background`` in camera counts.
    """

    label: str
    role: str
    pattern: Pattern
    excitation_nm: int
    emission_nm: int
    exposure_ms: float = 100.0
    brightness: float = 3000.0
    background: float = 250.0

    def named(self, label: str) -> Stain:
        """Return the same stain under another label."""
        return replace(self, label=label)


DNA = Stain(label="HOECHST 33342", role="DNA", pattern="nucleus", excitation_nm=375, emission_nm=456)
ER = Stain(label="Alexa 488", role="ER", pattern="endoplasmic", excitation_nm=488, emission_nm=522)
RNA = Stain(label="488 long", role="RNA", pattern="nucleoli", excitation_nm=488, emission_nm=599)
AGP = Stain(label="Alexa 568", role="AGP", pattern="rim", excitation_nm=561, emission_nm=599)
MITO = Stain(label="Alexa 647", role="Mito", pattern="mitochondria", excitation_nm=640, emission_nm=706)
BRIGHTFIELD = Stain(
    label="Brightfield",
    role="Brightfield",
    pattern="brightfield",
    excitation_nm=740,
    emission_nm=0,
    brightness=12000.0,
    background=0.0,
)
#: The five stains of Cell Painting, with the labels that a Phenix gives them.
CELL_PAINTING = (DNA, ER, RNA, AGP, MITO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phenotype:
    """What one well holds and what that does to its cells, as factors over an untreated cell.

    ``nucleus_area`` and ``cell_area`` scale areas, ``count`` the number of cells, ``intensity`` the
    brightness of the stains named by role. ``compound`` NULL with ``control_type`` ``empty`` is a well
    without cells.
    """

    compound: str | None = "DMSO"
    concentration_um: float | None = None
    control_type: str = "negative_vehicle"
    nucleus_area: float = 1.0
    cell_area: float = 1.0
    count: float = 1.0
    intensity: Mapping[str, float] = field(default_factory=dict)


CONTROL = Phenotype()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateSpec:
    """Everything that decides the bytes of a synthetic export.

    Attributes
    ----------
    wells
        Well name (``A01``) to phenotype; the first field of the first well is always there.
    n_fields, n_z, n_timepoints
        Planes of each well and channel.
    size
        Height and width of a plane in pixels.
    cells_per_mm2
        Density of a control well; 530 are about 220 cells on 1080² pixels.
    touching
        Share of nuclei that touch a neighbour.
    missing_fields
        ``(well, field)`` that the index names but whose files are absent.
    defects
        ``(well, field)`` to what goes wrong with its light.
    layout, bom, index_above
        Harmony version whose layout is written; byte-order mark; index one folder above the images.
    assay_layout
        Write the compounds as Harmony plate annotation too.
    compression
        Of the TIFF files; instruments write ``lzw``.
    """

    plate_id: str = "synthetic-1"
    wells: Mapping[str, Phenotype] = field(default_factory=lambda: {"A01": CONTROL, "A02": CONTROL})
    stains: tuple[Stain, ...] = CELL_PAINTING
    n_rows: int = 8
    n_columns: int = 12
    n_fields: int = 4
    n_z: int = 1
    n_timepoints: int = 1
    size: int = 540
    pixel_size_um: float = 0.598
    cells_per_mm2: float = 530.0
    touching: float = 0.08
    missing_fields: tuple[tuple[str, int], ...] = ()
    defects: Mapping[tuple[str, int], Defect] = field(default_factory=dict)
    layout: Layout = "V5"
    bom: bool = False
    index_above: bool = False
    assay_layout: bool = True
    compression: Literal["lzw", "zstd", "none"] = "lzw"
    seed: int = 0

    def __post_init__(self) -> None:
        for well in self.wells:
            row, column = parse_well(well)
            if not (row <= self.n_rows and column <= self.n_columns):
                raise UsageError(f"well {well} lies outside a plate of {self.n_rows} × {self.n_columns} wells")
            if well != format_well(row, column):
                raise UsageError(f"well {well!r} is written {format_well(row, column)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTruth:
    """One field as made: ``image`` uint16 (c, y, x); ``nuclei``, ``cells`` int32 (y, x), labels shared."""

    image: npt.NDArray[np.uint16]
    nuclei: Labels
    cells: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What :func:`make_export` knows about the plate that it wrote.

    Attributes
    ----------
    export
        The measurement folder, to be given to ``ingest``.
    plate_map
        CSV of what is in each well, to be given to ``annotate`` or ``--plate-map``.
    objects
        One row per cell and field: ``well_id``, ``field_id``, ``object_id``, ``x_px``, ``y_px`` (middle of
        the nucleus), ``nucleus_area_px``, ``cell_area_px``, ``touches_border`` (of the nucleus). Fields
        whose files are missing are not in it, nor are later time points.
    """

    spec: PlateSpec
    export: Path
    plate_map: Path
    objects: pa.Table

    def field(self, well_id: str, field_id: int, *, timepoint: int = 0, z: int = 0) -> FieldTruth:
        """Make one field again: pixels and labels, equal to what was written."""
        return render_field(self.spec, well_id, field_id, timepoint=timepoint, z=z)


def make_export(folder: str | Path, spec: PlateSpec, *, progress: Callable[[int, int], None] | None = None) -> Truth:
    """Write the plate ``spec`` as a Harmony export in ``folder`` and return what is true about it.

    ``folder`` becomes the measurement folder: ``Images/`` with index and TIFFs, ``Assaylayout/``, and
    beside them ``platemap.csv``. ``progress`` is called with fields done and in all.

    Raises
    ------
    UsageError
        When ``folder`` holds something already.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="Name a folder that does not exist yet.")
    images = folder / "Images"
    images.mkdir(parents=True)
    facts = list(_planes(spec))
    fields: dict[tuple[str, int], list[PlaneFacts]] = {}
    for plane in facts:
        fields.setdefault((format_well(plane.row, plane.column), plane.field), []).append(plane)
    present = [planes for key, planes in fields.items() if key not in spec.missing_fields]
    tables: list[dict[str, Any]] = []
    # NumPy, LZW and the disk let go of the interpreter, so threads are enough to use two cores.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for done, table in enumerate(pool.map(lambda planes: _write_field(images, spec, planes), present), start=1):
            tables.append(table)
            if progress is not None:
                progress(done, len(present))
    index = index_xml(
        layout=spec.layout,
        plate_id=spec.plate_id,
        measurement_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{spec.plate_id}/{spec.seed}")),
        started_at=_STARTED,
        plate_type="96 PerkinElmer CellCarrier Ultra µClear",
        n_rows=spec.n_rows,
        n_columns=spec.n_columns,
        channels=_channels(spec),
        planes=facts,
        prefix="Images/" if spec.index_above else "",
        bom=spec.bom,
    )
    (folder if spec.index_above else images).joinpath(INDEX_NAMES[spec.layout]).write_bytes(index)
    if spec.assay_layout:
        _write_assay_layout(folder / "Assaylayout", spec)
    return Truth(
        spec=spec,
        export=folder,
        plate_map=_write_plate_map(folder / "platemap.csv", spec),
        objects=objects_table(tables),
    )


def render_field(spec: PlateSpec, well_id: str, field_id: int, *, timepoint: int = 0, z: int = 0) -> FieldTruth:
    """Pixels and truth of one field, the same on every call."""
    row, column = parse_well(well_id)
    key = (spec.seed, row, column, field_id)
    shapes = _shapes(spec, spec.wells[well_id], np.random.Generator(np.random.SFC64(key)))
    image = np.empty((len(spec.stains), spec.size, spec.size), np.uint16)
    # Light fades as the plane leaves the focus, half a micrometre a step either way, and by bleaching over
    # time.
    focus = np.exp(-np.square((z - (spec.n_z - 1) / 2) / 2)) * 0.97**timepoint
    for number, stain in enumerate(spec.stains):
        rng = np.random.Generator(np.random.SFC64((*key, number)))
        strength = spec.wells[well_id].intensity.get(stain.role, 1.0)
        photons = light(
            rng,
            shapes,
            stain.pattern,
            brightness=stain.brightness * strength * focus,
            background=stain.background,
        )
        defect = spec.defects.get((well_id, field_id))
        if defect is not None and (not defect.roles or stain.role in defect.roles):
            photons = spoil(photons, defect)
        noise = np.random.Generator(np.random.SFC64((*key, number, timepoint, z)))
        expose(noise, photons, image[number])
    return FieldTruth(image=image, nuclei=shapes.nuclei, cells=shapes.cells)


_STARTED = datetime(2026, 1, 15, 9, 30, tzinfo=timezone(timedelta(hours=1)))
_SECONDS_PER_PLANE = 0.4
_Z_STEP_UM = 1.0


def _shapes(spec: PlateSpec, phenotype: Phenotype, rng: np.random.Generator) -> CellShapes:
    empty = phenotype.control_type == "empty"
    # One cell per hexagonal place of area spacing² √3/2, thinned to _KEEP.
    area_px = 1e6 / spec.cells_per_mm2 / spec.pixel_size_um**2
    return draw_shapes(
        rng,
        size=spec.size,
        spacing=float(np.sqrt(area_px * _KEEP * 2 / np.sqrt(3))),
        nucleus_radius=NUCLEUS_RADIUS_UM / spec.pixel_size_um * float(np.sqrt(phenotype.nucleus_area)),
        cell_radius=CELL_RADIUS_UM / spec.pixel_size_um * float(np.sqrt(phenotype.cell_area)),
        keep=0.0 if empty else min(1.0, _KEEP * phenotype.count),
        touching=spec.touching,
    )


def _channels(spec: PlateSpec) -> list[ChannelFacts]:
    return [
        ChannelFacts(
            name=stain.label,
            excitation_nm=stain.excitation_nm,
            emission_nm=stain.emission_nm,
            exposure_s=stain.exposure_ms / 1000,
            pixel_size_m=spec.pixel_size_um * 1e-6,
            size=spec.size,
            flatfield=flatfield_text(
                channel=number, name=stain.label, mean=stain.background, terms=VIGNETTING, size=spec.size
            ),
            brightfield=stain.pattern == "brightfield",
        )
        for number, stain in enumerate(spec.stains, start=1)
    ]


def _planes(spec: PlateSpec) -> Iterator[PlaneFacts]:
    """Every plane that the index promises, in the order of acquisition."""
    step_m = spec.size * spec.pixel_size_um * 1e-6
    side = int(np.ceil(np.sqrt(spec.n_fields)))
    count = 0
    for timepoint in range(spec.n_timepoints):
        for well in spec.wells:
            row, column = parse_well(well)
            for number in range(spec.n_fields):
                # Fields are visited as a snake, row by row from the top left.
                down, along = divmod(number, side)
                along = along if down % 2 == 0 else side - 1 - along
                for z in range(spec.n_z):
                    for channel in range(1, len(spec.stains) + 1):
                        offset_s = count * _SECONDS_PER_PLANE
                        count += 1
                        yield PlaneFacts(
                            row=row,
                            column=column,
                            field=number + 1,
                            plane=z + 1,
                            timepoint=timepoint,
                            channel=channel,
                            x_m=(along - (side - 1) / 2) * step_m,
                            y_m=((side - 1) / 2 - down) * step_m,
                            z_m=z * _Z_STEP_UM * 1e-6,
                            offset_s=offset_s,
                            acquired_at=_STARTED + timedelta(seconds=offset_s),
                        )


def _write_field(images: Path, spec: PlateSpec, planes: list[PlaneFacts]) -> dict[str, Any]:
    """Write all planes of one field of one well; return what is true of its first plane's cells."""
    well_id, field_id = format_well(planes[0].row, planes[0].column), planes[0].field
    made: dict[tuple[int, int], FieldTruth] = {}
    for plane in planes:
        moment = (plane.timepoint, plane.plane - 1)
        if moment not in made:
            # Labels are the same at every moment, pixels are not: keep one moment's pixels at a time.
            made = {moment: render_field(spec, well_id, field_id, timepoint=moment[0], z=moment[1])}
        tifffile.imwrite(
            images / plane.file,
            made[moment].image[plane.channel - 1],
            photometric="minisblack",
            compression=None if spec.compression == "none" else spec.compression,
            rowsperstrip=spec.size,
            metadata=None,
            software="cytolake synthetic",
            resolution=(1e4 / spec.pixel_size_um, 1e4 / spec.pixel_size_um),
            resolutionunit="CENTIMETER",
        )
    (truth,) = made.values()
    return {"well_id": well_id, "field_id": field_id, **measure(truth.nuclei, truth.cells)}


def _write_assay_layout(folder: Path, spec: PlateSpec) -> None:
    compounds: dict[tuple[int, int], str] = {}
    concentrations: dict[tuple[int, int], str] = {}
    for well, phenotype in spec.wells.items():
        if phenotype.compound is not None:
            compounds[parse_well(well)] = phenotype.compound
        if phenotype.concentration_um is not None:
            concentrations[parse_well(well)] = f"{phenotype.concentration_um:g}"
    folder.mkdir()
    (folder / "Layout.xml").write_bytes(
        assay_layout_xml(
            layout=spec.layout,
            n_rows=spec.n_rows,
            n_columns=spec.n_columns,
            layers={"Compound": compounds, "Concentration [µM]": concentrations},
        )
    )


def _write_plate_map(path: Path, spec: PlateSpec) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["well", "compound", "concentration", "control_type"])
        for well, phenotype in spec.wells.items():
            amount = phenotype.concentration_um
            writer.writerow(
                [
                    well,
                    phenotype.compound or "",
                    "" if amount is None else f"{amount:g} uM",
                    phenotype.control_type,
                ]
            )
    return path
