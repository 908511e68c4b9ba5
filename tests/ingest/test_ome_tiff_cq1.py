"""What a CQ1 writes: OME-XML and the same in a TIFF with a title image, one pair for stacks and one for projections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from cytolake.ingest.vendors.ome_tiff import OmeTiffReader

WELLS = {14: (1, 1), 30: (2, 5)}


def write_result(folder: Path, name: str, images: str, depth: int) -> None:
    """Write a pair of documents and the images that they name."""
    described = [
        '<Image ID="Image:0" Name="TitleImage"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="4" '
        'SizeY="4" SizeZ="1" SizeC="1" SizeT="1"><TiffData IFD="0" PlaneCount="1"/></Pixels></Image>'
    ]
    wells = ""
    (folder / images).mkdir(parents=True, exist_ok=True)
    for number, (row, column) in WELLS.items():
        samples = ""
        for field in (1, 2):
            own = len(described)
            data = ""
            for z in range(depth):
                file = f"{images}/W{number:04d}F{field:04d}T0001Z{z + 1 if depth > 1 else 0:03d}C1.tif"
                tifffile.imwrite(folder / file, np.full((6, 8), 10 * own + z, np.uint16))
                data += f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{file}">urn:{own}{z}</UUID>'
                data += "</TiffData>"
            described.append(
                f'<Image ID="Image:{own}" Name="W{number}(R{row}C{column}),A1,F{field}"><Pixels ID="Pixels:{own}" '
                f'DimensionOrder="XYZCT" Type="uint16" SizeX="8" SizeY="6" SizeZ="{depth}" SizeC="1" SizeT="1" '
                f'PhysicalSizeX="0.65" PhysicalSizeY="0.65"><Channel ID="Channel:{own}:0" Name="CH1"/>{data}</Pixels>'
                "</Image>"
            )
            samples += f'<WellSample ID="WellSample:{own}" Index="{own}"><ImageRef ID="Image:{own}"/></WellSample>'
        wells += f'<Well ID="Well:{number}" Row="{row}" Column="{column}">{samples}</Well>'
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06">'
        f'<Plate ID="Plate:0" Name="P1" Rows="8" Columns="12">{wells}</Plate>{"".join(described)}</OME>'
    )
    (folder / f"{name}.ome.xml").write_text(text)
    tifffile.imwrite(folder / f"{name}.ome.tif", np.zeros((4, 4), np.uint8), description=text, metadata=None)


@pytest.mark.parametrize("named", ["", "MeasurementResult.ome.tif", "MeasurementResult.ome.xml"])
def test_a_pair_of_documents_with_a_title_image(tmp_path: Path, named: str) -> None:
    write_result(tmp_path, "MeasurementResult", "Image", 3)
    (export,) = OmeTiffReader().read(tmp_path / named)
    assert (export.plate_id, export.n_rows, export.n_columns) == ("P1", 8, 12)
    assert (export.planes.num_rows, export.planes["size"].null_count) == (12, 0)
    assert sorted(set(export.planes["well_id"].to_pylist())) == ["B02", "C06"]
    assert sorted(set(export.planes["field_id"].to_pylist())) == [1, 2]
    assert any("1 images belong to no well" in warning for warning in export.warnings)


def test_projections_beside_stacks_are_the_same_fields(tmp_path: Path) -> None:
    write_result(tmp_path, "MeasurementResult", "Image", 3)
    write_result(tmp_path, "MeasurementResultMIP", "Projection", 1)
    (export,) = OmeTiffReader().read(tmp_path)
    assert [(a.acquisition_id, a.z_mode) for a in export.acquisitions] == [(1, "stack"), (2, "plane")]
    assert [(f["acquisition_id"], f["well_id"], f["field_id"]) for f in export.fields.to_pylist()] == [
        (number, well, field) for number in (1, 2) for well in ("B02", "C06") for field in (1, 2)
    ]
    assert export.planes["size"].null_count == 0
