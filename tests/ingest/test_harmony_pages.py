"""Harmony indexes whose images have no file, and those of Columbus, whose files hold many planes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cytolake.errors import InvalidDataError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.pixels import read_plane
from cytolake.ingest.vendors.harmony import HarmonyReader
from harmony_xml import Export, grid

COLUMBUS_IMAGE = """<Image Version="1"><id>i{n}</id><State>Ok</State><URL BufferNo="{page}">{file}</URL>
<Row>{row}</Row><Col>2</Col><FieldID>1</FieldID><PlaneID>{z}</PlaneID><TimepointID>1</TimepointID>
<ChannelID>{channel}</ChannelID><ChannelName>{name}</ChannelName><ChannelColor>{color}</ChannelColor>
<ImageResolutionX Unit="m">5E-07</ImageResolutionX><ImageResolutionY Unit="m">5E-07</ImageResolutionY>
<ImageSizeX>8</ImageSizeX><ImageSizeY>6</ImageSizeY><PositionX Unit="m">1E-04</PositionX>
<PositionY Unit="m">2E-04</PositionY><PositionZ Unit="m">{z}E-06</PositionZ><AbsTime>2020-01-01T10:00:00Z</AbsTime>
</Image>"""


def read(folder: Path) -> PlateExport:
    (export,) = HarmonyReader().read(folder)
    return export


def columbus(folder: Path) -> Path:
    """Write two wells of two planes and two channels: one file a well, its pages in no order of the index."""
    folder.mkdir()
    images = []
    for row in (1, 2):
        file = f"00{row}002-1.tif"
        pixels = np.stack([np.full((6, 8), 100 * row + page, np.uint16) for page in range(4)])
        tifffile.imwrite(folder / file, pixels, photometric="minisblack", metadata=None)
        for page, (z, channel) in enumerate([(2, 2), (1, 1), (2, 1), (1, 2)]):
            name, color = ("Hoechst", 0xFF0000FF) if channel == 1 else ("Alexa 488", 0xFF00FF00)
            images.append(
                COLUMBUS_IMAGE.format(
                    n=len(images), page=page, file=file, row=row, z=z, channel=channel, name=name, color=color
                )
            )
    (folder / "ImageIndex.ColumbusIDX.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8" ?><EvaluationInputData xmlns="http://www.perkinelmer.com/Columbus" '
        'Version="1"><User>Undefined</User><Plates><Plate><PlateID>P9</PlateID><PlateRows>2</PlateRows>'
        '<PlateColumns>3</PlateColumns><Well id="227003" /></Plate></Plates>'
        f"<Images>{''.join(images)}</Images></EvaluationInputData>"
    )
    return folder


class TestColumbus(ReaderContract):
    reader = HarmonyReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return columbus(tmp_path / "C")


def test_pages_of_columbus(tmp_path: Path) -> None:
    export = read(columbus(tmp_path / "C"))
    assert (export.vendor, export.format_version, export.plate_id) == ("PerkinElmer Columbus", "Columbus", "P9")
    assert [(c.name, c.color) for c in export.channels] == [("Hoechst", "0000FF"), ("Alexa 488", "00FF00")]
    assert export.acquisitions[0].software == "Columbus"
    assert export.acquisitions[0].instrument_manufacturer is None
    assert export.fields.to_pylist()[0] | {"acquisition_id": 1} == {
        "acquisition_id": 1, "well_id": "A02", "field_id": 1, "x_um": 100.0, "y_um": -200.0, "z_um": 1.0,
    }  # fmt: skip
    assert any("does not say where y points" in w for w in export.warnings)
    page_of = {(2, 2): 0, (1, 1): 1, (2, 1): 2, (1, 2): 3}
    for plane in export.planes.to_pylist():
        page = page_of[plane["z"] + 1, plane["channel_index"] + 1]
        row = 1 if plane["well_id"] == "A02" else 2
        assert (plane["file"], plane["page"], plane["timepoint"]) == (f"00{row}002-1.tif", page, 0)
        pixels = np.empty((6, 8), np.uint16)
        read_plane(tmp_path / "C" / plane["file"], plane["page"], pixels)
        assert (pixels == 100 * row + page).all()


def test_one_page_of_two_planes_is_refused(tmp_path: Path) -> None:
    index = columbus(tmp_path / "C") / "ImageIndex.ColumbusIDX.xml"
    index.write_text(index.read_text().replace('BufferNo="1"', 'BufferNo="2"', 1))
    with pytest.raises(InvalidDataError, match=r"images i1 and i2 are one file, page 2 of 001002-1\.tif"):
        read(index)


def test_a_page_that_is_none_is_refused(tmp_path: Path) -> None:
    index = columbus(tmp_path / "C") / "ImageIndex.ColumbusIDX.xml"
    index.write_text(index.read_text().replace('BufferNo="1"', 'BufferNo="-1"', 1))
    with pytest.raises(InvalidDataError, match="BufferNo of image i1 is '-1', no page of a file"):
        read(index)


def test_an_image_without_a_file_is_missing(tmp_path: Path) -> None:
    """Older Operettas list images that were never recorded, with an empty URL."""
    tweak = lambda text: re.sub(r"<URL>r02c03f02p01-ch2[^<]*</URL>", "<URL />", text)  # noqa: E731
    export = read(Export(images=grid(), tweak=tweak).write(tmp_path / "M"))
    absent = export.planes.filter(export.planes["size"].is_null()).to_pylist()
    assert [(p["well_id"], p["field_id"], p["channel_index"], p["file"]) for p in absent] == [
        ("B03", 2, 1, "0203K1F2P1R2")
    ]
    assert export.planes.num_rows == 8
    assert "1 images name no file and are missing: 0203K1F2P1R2" in export.warnings
