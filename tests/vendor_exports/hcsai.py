"""Small ImageXpress HCS.ai acquisitions, written here from the documented layout: .mxprotocol, .jdce, CSV, TIFFs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

COLUMNS = (
    "FovUuid,Well,Row,Column,Field,Wavelength,Timepoint,ZIndex,ImageStartXPx,ImageStartYPx,ImageSizeXPx,ImageSizeYPx,"
    "ImageSubFolderPath,ImageFileName,TimeStampSec,ExposureTimeMs,ExcitationEmissionFilter,MinIntensity,MaxIntensity,"
    "MeanIntensity,PositionXUm,PositionYUm,PositionZUm,FieldOffsetPointX,FieldOffsetPointY,TemperatureC,CO2,"
    "Annotations,Checksum,O2Level"
)
FILTERS = (("DAPI", 440, 440), ("FITC", 520, 488), ("TL", 0, 0))


@dataclass(frozen=True, kw_only=True)
class Img:
    """One line of the CSV, in its own numbers: rows and columns from 1, all else from 0."""

    row: int = 3
    column: int = 5
    field: int = 0
    wave: int = 0
    time: int = 0
    z: int = 0
    write: bool = True


def grid(
    waves: Sequence[int] = (0, 1), fields: Sequence[int] = (0, 1), times: int = 1, zs: Sequence[int] = (0,)
) -> list[Img]:
    return [Img(field=f, wave=w, time=t, z=z) for t in range(times) for f in fields for w in waves for z in zs]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    folder: str = "experiment"
    images: Sequence[Img] = field(default_factory=grid)
    slices: int = 1
    waves: int = 2
    complete: bool = True
    pixel: float | None = 1.25
    size: tuple[int, int] = (6, 8)
    z_step: float = 0.0
    barcode: str = ""

    def jdce(self) -> dict[str, Any]:
        waves = [
            {
                "Index": index,
                "ImagingMode": "2-D",
                "ZSlice": 1,
                "ZStep": 0.0,
                "EmissionFilter": {"Name": name, "Wavelength": emission, "Unit": "nm"},
                "ExcitationFilter": {"Name": name, "Wavelength": excitation, "Unit": "nm"},
            }
            for index, (name, emission, excitation) in enumerate(FILTERS[: self.waves])
        ]
        calibration: dict[str, Any] = {"Unit": "µm", "ObjectiveName": "20X Plan Apo Lambda D"}
        if self.pixel is not None:
            calibration |= {"PixelWidth": self.pixel, "PixelHeight": self.pixel}
        return {
            "Version": "1.1",
            "ImageStack": {
                "PlateId": "run one 2026-03-02, 13:57:52",
                "Uuid": "5f0c2d8e-1b7a-4c39-8e64-2a90d7f3b651",
                "Application": {"Name": "MetaXpress Acquire", "SoftwareLabel": "2025.2.0.5237"},
                "Creation": {"Date": "2026-03-02", "Time": "13:57:52", "TimeZoneOffset": "0"},
                "AutoLeadAcquisitionProtocol": {
                    "Camera": {"Size": {"Width": self.size[1], "Height": self.size[0]}, "Binning": "4 X 4"},
                    "ObjectiveCalibration": calibration,
                    "Plate": {"Name": "µ-Plate 96 Well", "Rows": 8, "Columns": 12},
                    "Wavelengths": waves,
                    "PlateMap": {
                        "ZDimensionParameters": {
                            "Enabled": self.slices > 1,
                            "Step": self.z_step,
                            "NumberOfSlices": self.slices,
                        },
                        "TimeSchedule": {"Enabled": False, "NumberOfTimepoints": 1, "Times": [{"Ms": 0}]},
                    },
                    "CollectionComplete": self.complete,
                },
                "Operator": {"Login": "somebody"},
                "SpecimenHolder": {"Type": "plate", "Label": "µ-Plate 96 Well", "Barcode": self.barcode},
                "ImageMetadataFiles": ["image_metadata_1.csv"],
            },
        }

    def file(self, image: Img) -> str:
        well = f"{chr(64 + image.row)}{image.column:02d}"
        return f"test_t{image.time}_{well}_s{image.field}_w{image.wave}_z{image.z}.tif"

    def csv(self) -> str:
        def line(i: Img) -> str:
            seconds = 1772456272.45 + 60 * i.time + i.z
            x, y = -50.0 + 100 * (i.field % 2), 25.0 + 100 * (i.field // 2)
            well = f"{chr(64 + i.row)} - {i.column}"
            return (
                f"c04d7b12-66e5-4f0a-9d3b-7e18a5c2f940,{well},{i.row},{i.column},{i.field},{i.wave},{i.time},{i.z},0,0,"
                f"{self.size[1]},{self.size[0]},timepoint{i.time},{self.file(i)},{seconds},10,{FILTERS[i.wave][0]},1,2,3,"
                f"50027.3,30045.3,{18444.72 + 2 * i.z},{x},{y},23.0,0.0,,,20.0"
            )

        return "\n".join([COLUMNS, *map(line, self.images), ""])

    def write(self, run: Path) -> None:
        folder = run / self.folder
        for image in self.images:
            path = folder / f"timepoint{image.time}" / self.file(image)
            path.parent.mkdir(parents=True, exist_ok=True)
            if image.write:
                seed = [image.row, image.column, image.field, image.wave, image.time, image.z, len(self.folder)]
                tifffile.imwrite(path, np.random.default_rng(seed).integers(0, 4000, self.size, dtype=np.uint16))
        (folder / "run one.jdce").write_text(json.dumps(self.jdce(), indent=4, ensure_ascii=False), encoding="utf-8")
        (folder / "image_metadata_1.csv").write_text(self.csv(), encoding="utf-8")


def stack_and_projection() -> list[Experiment]:
    """A stack of one wavelength, its projection, and one plane of the other wavelength."""
    stack = Experiment(folder="experiment_z_stack", images=grid(waves=(0,), zs=(0, 1, 2)), slices=3, z_step=2.0)
    return [stack, Experiment(slices=3)]


def protocol(collections: Sequence[str] = ("zSeries", "zSeries")) -> dict[str, Any]:
    names = (("Nuclei", "DAPI", "#0000ff"), ("Actin stain", "FITC", "#35ff00"), ("Light", "TL", "#ffffff"))
    channels = [
        {
            "channelName": name,
            "illuminationName": light,
            "displayColorHex": color,
            "exposureTimeMs": 10.2,
            "powerPercentage": 50,
            "isEnabled": True,
            "zSeriesCollectionType": collection,
        }
        for (name, light, color), collection in zip(names, collections, strict=False)
    ]
    return {
        "acquisitionEngineProtocol": {},
        "uiModel": {
            "cameraName": "Camera 1",
            "lightPathModeInfo": {"mode": "confocal1"},
            "objective": {"numericalAperture": 0.8},
            "settingsList": [*channels, {"channelName": "unused", "isEnabled": False}],
        },
    }


def write_run(run: Path, experiments: Sequence[Experiment] = (Experiment(),), asked: Any = None) -> Path:
    """Write an acquisition into ``run`` and return it."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "autofocus").mkdir(exist_ok=True)
    (run / "autofocus" / "focus_search.csv").write_text("a,b\n1,2\n")
    told = protocol() if asked is None else asked
    (run / "test.mxprotocol").write_text(json.dumps(told), encoding="utf-8")
    for experiment in experiments:
        experiment.write(run)
    return run
