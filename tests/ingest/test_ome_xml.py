"""OME-XML of any year, ScanR's descriptors, and whatever bytes there are: a value or one of our errors."""

from __future__ import annotations

import contextlib

import pytest
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError
from cytolake.ingest.vendors.ome_model import OmeDocument
from cytolake.ingest.vendors.ome_positions import in_wells
from cytolake.ingest.vendors.ome_xml import parse_ome_xml
from cytolake.ingest.vendors.scanr_descriptor import parse_descriptor
from cytolake.ingest.vendors.scanr_names import parse_file_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_exports.ome import Plate
from vendor_exports.scanr import Experiment

SEEDS = [Plate().xml().encode(), Experiment().xml().encode(), Experiment(kind="descriptor").descriptor()]
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = [
    b"",
    b"-1",
    b"nan",
    b"1e400",
    b"99999999999",
    b"\xff",
    b"<",
    b'"',
    b"&b;",
    b"\0",
    "µ".encode(),
    b"1,5",
    b"../x",
]


def document(inside: str, year: str = "2016-06", prefix: str = "") -> OmeDocument:
    declared = f' xmlns{f":{prefix}" if prefix else ""}="http://www.openmicroscopy.org/Schemas/OME/{year}"'
    name = f"{prefix}:OME" if prefix else "OME"
    return parse_ome_xml(f"<{name}{declared}>{inside}</{name}>".encode(), "x.ome")


def pixels(inside: str = "", facts: str = "", image: str = "") -> str:
    sizes = 'SizeX="4" SizeY="3" SizeZ="1" SizeC="1" SizeT="1"'
    return f'<Image ID="Image:0">{image}<Pixels ID="P" Type="uint16" {sizes} {facts}>{inside}</Pixels></Image>'


def test_defaults() -> None:
    image = document(pixels("<TiffData/>")).images[0]
    assert (image.order, image.tiff_data[0].ifd, image.tiff_data[0].count) == ("XYZCT", None, None)
    assert (image.channels, image.planes, image.pixel_size_x_um, image.name) == ((), {}, None, None)


@pytest.mark.parametrize(
    ("value", "unit", "um"),
    [("2", None, 2), ("2", "µm", 2), ("2", "μm", 2), ("2", "nm", 0.002), ("2", "mm", 2000), ("0.1", "m", 1e5)],
)
def test_lengths(value: str, unit: str | None, um: float) -> None:
    told = "" if unit is None else f' PhysicalSizeXUnit="{unit}"'
    image = document(pixels(facts=f'PhysicalSizeX="{value}"{told}')).images[0]
    assert image.pixel_size_x_um == pytest.approx(um)


def test_times_and_wavelengths() -> None:
    inside = (
        '<Channel ExcitationWavelength="0.488" ExcitationWavelengthUnit="µm" EmissionWavelength="525"/>'
        '<Plane TheC="0" TheZ="0" TheT="0" DeltaT="2" DeltaTUnit="min" ExposureTime="30" ExposureTimeUnit="ms"/>'
    )
    image = document(pixels(inside)).images[0]
    assert (image.channels[0].excitation_nm, image.channels[0].emission_nm) == (488.0, 525.0)
    assert (image.planes[0, 0, 0].delta_s, image.planes[0, 0, 0].exposure_s) == (120.0, 0.03)


def test_the_words_of_2008() -> None:
    text = (
        '<Image ID="i" DefaultPixels="P"><CreationDate>2008-02-01T10:00:00</CreationDate>'
        '<ObjectiveRef ID="o"/><LogicalChannel ID="c" Name="DAPI" ExWave="405" EmWave="461" SamplesPerPixel="1"/>'
        '<Pixels ID="P" DimensionOrder="XYCZT" PixelType="Uint16" BigEndian="false" SizeX="4" SizeY="3" SizeZ="2" '
        'SizeC="1" SizeT="1" PhysicalSizeX="0.5"><TiffData IFD="0" NumPlanes="2"/>'
        '<Plane TheC="0" TheZ="1" TheT="0"><PlaneTiming DeltaT="3" ExposureTime="0.2"/>'
        '<StagePosition PositionX="10" PositionY="20" PositionZ="30"/></Plane></Pixels></Image>'
        '<Plate ID="p" ExternalIdentifier="B1"><Well ID="w" Row="1" Column="2"><WellSample ID="s" PosX="1" PosY="2">'
        '<ImageRef ID="i"/></WellSample></Well></Plate>'
    )
    found = document(text, "2008-09")
    image = found.images[0]
    assert (image.type, image.order, image.acquired_at, image.objective_id) == (
        "uint16",
        "XYCZT",
        "2008-02-01T10:00:00",
        "o",
    )
    assert [(c.name, c.excitation_nm, c.emission_nm) for c in image.channels] == [("DAPI", 405.0, 461.0)]
    assert image.tiff_data[0].count == 2
    plane = image.planes[0, 1, 0]
    assert (plane.x_um, plane.y_um, plane.z_um, plane.delta_s, plane.exposure_s) == (10.0, 20.0, 30.0, 3.0, 0.2)
    sample = found.plates[0].wells[0].samples[0]
    assert (sample.x_um, sample.y_um, found.plates[0].rows, found.warnings) == (1.0, 2.0, None, ())


@pytest.mark.parametrize("year", ["2009-09", "2010-06", "2011-06", "2012-06", "2013-06", "2015-01", "2016-06"])
def test_every_schema_says_the_same(year: str) -> None:
    found = parse_ome_xml(Plate(schema=year, stage_unit="µm").xml().encode(), "x")
    assert len(found.images) == 4
    assert len(found.plates[0].wells) == 3
    assert found.schema == year
    # Before 2012-06 the bytes of a colour stood in another order.
    assert found.images[0].channels[0].color == ("FF0000" if year >= "2012-06" else None)


def test_prefixes_do_not_matter() -> None:
    text = pixels().replace("<Image", "<o:Image").replace("</Image", "</o:Image").replace("Pixels", "o:Pixels", 1)
    text = text.replace("</Pixels", "</o:Pixels")
    assert len(document(text, prefix="o").images) == 1


def test_absolute_positions_of_incomplete_wells() -> None:
    layout = {1: (0.0, 0.0), 2: (300.0, 0.0), 3: (0.0, 200.0), 4: (300.0, 200.0)}
    points = {
        (1, row, column, field): (9000.0 * column + 40.0 * row + x, 9000.0 * row - 40.0 * column + y)
        for row in (1, 2)
        for column in (1, 2)
        for field, (x, y) in layout.items()
        if (row, column, field) not in ((1, 1, 1), (2, 2, 3), (2, 2, 4))
    }
    found = in_wells(points, y_up=False, per_well=False).points
    for (_, _, _, field), point in found.items():
        assert point == pytest.approx((layout[field][0] - 150, layout[field][1] - 100))


@pytest.mark.parametrize("text", ["<OME", "", "<html/>", "<!DOCTYPE OME []><OME/>", "<OME></Image>"])
def test_what_is_no_document(text: str) -> None:
    with pytest.raises(CytolakeError):
        parse_ome_xml(text.encode(), "x")


def test_messages_say_where() -> None:
    with pytest.raises(InvalidDataError, match=r"x\.ome: Image:0 <Pixels> P: SizeX is '4q', no whole number"):
        document(pixels().replace('"4"', '"4q"'))
    with pytest.raises(InvalidDataError, match=r"SizeC is '65536'"):
        document(pixels("<TiffData/>").replace('SizeC="1"', 'SizeC="65536"'))
    with pytest.raises(NotAnExportError, match="root element is <html>"):
        parse_ome_xml(b"<html/>", "x")


def test_descriptors_without_an_encoding() -> None:
    for encoding in ("latin-1", "utf-8", "utf-8-sig", "utf-16"):
        found = parse_descriptor(Experiment(kind="descriptor", encoding=encoding).descriptor(), "d")
        assert found.plate_name == "Plaque n° 4"
        assert (found.pixel_size_um, found.plate_size, found.wells) == (0.645, (8, 12), (14, 28))
        assert [c.name for c in found.channels] == ["DAPI", "405 nm #1"]
        assert found.positions == ((0.0, 0.0), (600.0, 400.0))


changes = st.lists(
    st.tuples(st.sampled_from(["cut", "byte", "insert", "remove"]), st.integers(0, 20_000), st.sampled_from(VALUES)),
    min_size=1,
    max_size=4,
)


@FUZZ
@given(st.integers(0, len(SEEDS) - 1), changes)
def test_damaged_documents(seed: int, changes: list[tuple[str, int, bytes]]) -> None:
    data = SEEDS[seed]
    for kind, position, value in changes:
        at = position % max(len(data), 1)
        end = {"byte": at + len(value), "remove": at + 20}.get(kind, at)
        data = data[:at] if kind == "cut" else data[:at] + (b"" if kind == "remove" else value) + data[end:]
    for parse in (parse_ome_xml, parse_descriptor):
        with contextlib.suppress(CytolakeError):
            parse(data, "file")


@pytest.mark.parametrize("parse", [parse_ome_xml, parse_descriptor])
@FUZZ
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='<>/?!&;"=[]OMELVData: \n', max_size=80).map(str.encode)))
def test_any_bytes(parse: object, data: bytes) -> None:
    assert callable(parse)
    with contextlib.suppress(CytolakeError):
        parse(data, "file")


@FUZZ
@given(st.text(max_size=80))
def test_any_name(name: str) -> None:
    parse_file_name(name)
    parse_file_name(f"B2--W00014--P00001--Z00000--T00000--{name}.tif")
