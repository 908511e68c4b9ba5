"""Yokogawa CellVoyager measurements: what is read, each oddity of the format, and the real samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cytolake.errors import InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors.cellvoyager import CellVoyagerReader
from cytolake.ingest.vendors.cellvoyager_series import count_timepoints
from vendor_exports.cellvoyager import CHANNELS, Chan, Err, Img, Measurement, projections, stack, usual


def read(measurement: Measurement, folder: Path, options: ReaderOptions | None = None) -> PlateExport:
    (export,) = CellVoyagerReader(options).read(measurement.write(folder))
    return export


def planes(export: PlateExport, *columns: str) -> list[tuple[object, ...]]:
    return list(zip(*(export.planes[c].to_pylist() for c in columns), strict=True))


def told(export: PlateExport, words: str) -> bool:
    return any(words in warning for warning in export.warnings)


class TestContract(ReaderContract):
    reader = CellVoyagerReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return usual().write(tmp_path / "Run #1_20240501" / "Run #1")


class TestContractOfProjections(ReaderContract):
    """Laid out as a CQ3K does: images in a folder, no protocol, no plate files; stacks beside their projections."""

    reader = CellVoyagerReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return projections().write(tmp_path / "20251201T134840_Test")


def test_what_is_read(tmp_path: Path) -> None:
    export = read(usual(), tmp_path / "Run")
    assert (export.name, export.plate_type, export.n_rows, export.n_columns) == (
        "Plate #1", "Cellvis #P96-1.5H-N", 8, 12,
    )  # fmt: skip
    assert export.plate_id.startswith("Plate-1-")
    assert export.format_version == "1.0 (CV8000 R2.06.03)"
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 0.325)
    assert (acquisition.z_mode, acquisition.z_step_um, acquisition.magnification) == ("stack", 1.5, 20.0)
    assert (acquisition.instrument_model, acquisition.operator, acquisition.camera) == ("CV8000", "tester", "DCAM")
    assert acquisition.modality == "spinning_disk_confocal"
    assert acquisition.started_at == datetime(2024, 5, 1, 7, 59, 30, 123456, tzinfo=UTC)
    assert export.planes.num_rows == 24
    assert export.planes["size"].null_count == 0
    assert set(planes(export, "well_id", "field_id")) == {("B03", 1), ("B03", 4), ("D11", 1), ("D11", 4)}
    assert sorted(export.metadata_files) == [
        "1009680001_Cellvis_#P96-1.5H-N.wpp", "MeasurementData.mlf", "MeasurementDetail.mrf", "Plate #1.wpi",
        "Protocol 20x.mes",
    ]  # fmt: skip


def test_channels_that_were_acquired_with_their_optics(tmp_path: Path) -> None:
    records = [Img(channel=number, action=number) for number in (3, 2, 4)]
    export = read(Measurement(records=records), tmp_path)
    second, dye, bright = export.channels
    assert [c.vendor_id for c in export.channels] == ["2", "3", "4"]
    assert (second.name, second.excitation_nm, second.excitation_source) == ("488", 488.0, "488nm")
    assert (second.emission_nm, second.emission_filter, second.exposure_ms) == (525.0, "BP525/50", 250.0)
    assert (second.color, second.contrast_method, second.max_intensity) == ("00FFA1", "fluorescence", 65535)
    assert (dye.name, dye.dye, dye.role) == ("Hoechst 33342", "Hoechst 33342", "DNA")
    assert (bright.contrast_method, bright.emission_nm, bright.excitation_nm) == ("brightfield", None, None)
    assert bright.role == "Brightfield"


def test_y_points_down(tmp_path: Path) -> None:
    export = read(Measurement(records=[Img(x=-500.0, y=300.0), Img(field=2, x=10.0, y=0.0)]), tmp_path)
    assert export.fields.select(["field_id", "x_um", "y_um"]).to_pylist() == [
        {"field_id": 1, "x_um": -500.0, "y_um": -300.0},
        {"field_id": 2, "x_um": 10.0, "y_um": 0.0},
    ]


def test_failures_are_told_and_not_promised(tmp_path: Path) -> None:
    records = [Img(), Err(), Err(facts=(), text="AF Error"), Err(facts=(("Row", "x"),)), Img(field=3), Img(file="")]
    export = read(Measurement(records=[replace(r, write=r.file is None) if isinstance(r, Img) else r for r in records]),
                  tmp_path)  # fmt: skip
    assert planes(export, "field_id") == [(1,), (3,)]
    assert told(
        export,
        "3 ERR records; an image that was not taken is expected only where another names it: AF Error at B03 No. 2",
    )
    assert told(export, "1 IMG record;")
    assert told(export, "row 2, column 3, field 2, time point 1")


def test_a_failure_beside_a_record_of_the_same_plane(tmp_path: Path) -> None:
    export = read(Measurement(records=[Err(), Img(field=2)]), tmp_path)
    assert planes(export, "field_id") == [(2,)]
    assert told(export, "1 ERR record;")


def test_a_projection_is_no_plane_of_its_stack(tmp_path: Path) -> None:
    export = read(projections(), tmp_path / "20251201T134840_Test")
    assert [(a.z_mode, a.name) for a in export.acquisitions] == [
        ("stack", "20251201T134840_Test, stack of 3"),
        ("projection", "20251201T134840_Test, Maximum projection"),
    ]
    assert planes(export, "acquisition_id", "well_id", "z") == [
        *((1, "C05", z) for z in range(3)), *((1, "F09", z) for z in range(3)), (2, "C05", 0), (2, "F09", 0),
    ]  # fmt: skip
    assert export.planes["file"].to_pylist()[-1] == "Projection/W0069F0001T0001Z000C1.tif"
    assert export.planes["size"].null_count == 0
    assert len({a.measurement_id for a in export.acquisitions}) == 2


def test_a_plate_that_nobody_named_takes_the_name_of_its_measurement(tmp_path: Path) -> None:
    export = read(projections(), tmp_path / "x")
    assert (export.plate_id, export.plate_type) == ("20251201T134840_Test", None)
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert export.acquisitions[0].instrument_model is None
    assert export.channels[0].name == "Channel 1"


def test_every_way_of_projecting_is_an_acquisition(tmp_path: Path) -> None:
    records = [Img(processing=word, file=f"{word}.tif") for word in ("Maximum", "Minimum", "Sum")]
    export = read(Measurement(records=[replace(r, channel=c, file=f"{c}{r.file}") for r in records for c in (1, 2)]),
                  tmp_path)  # fmt: skip
    assert [a.z_mode for a in export.acquisitions] == ["projection"] * 3
    assert [(c.acquisition_id, c.vendor_id) for c in export.channels] == [
        (number, channel) for number in (1, 2, 3) for channel in ("1", "2")
    ]


def test_single_planes_beside_a_stack(tmp_path: Path) -> None:
    records: Sequence[Img] = [
        Img(channel=1),
        Img(channel=2, action=2, z=1, z_um=2.0),
        *stack(Img(channel=4, action=3), 3),
    ]
    export = read(Measurement(records=records), tmp_path)
    assert [(a.z_mode, a.z_step_um) for a in export.acquisitions] == [("plane", None), ("stack", 1.5)]
    assert [(c.acquisition_id, c.vendor_id, c.z_offset_um) for c in export.channels] == [
        (1, "1", 0.0), (1, "2", 2.0), (2, "4", 0.0),
    ]  # fmt: skip
    assert planes(export, "acquisition_id", "channel_index", "z") == [
        (1, 0, 0),
        (1, 1, 0),
        (2, 0, 0),
        (2, 0, 1),
        (2, 0, 2),
    ]


def test_stacks_of_other_depths_or_steps_are_kept_apart(tmp_path: Path) -> None:
    records = [
        *stack(Img(channel=1), 3), *stack(Img(channel=2, action=2), 5), *stack(Img(channel=3, action=3), 3, 0.5),
        *stack(Img(channel=4, action=4, z_um=-4.0), 3),
    ]  # fmt: skip
    export = read(Measurement(records=records), tmp_path)
    assert [a.z_step_um for a in export.acquisitions] == [1.5, 1.5, 0.5]
    assert [(c.acquisition_id, c.vendor_id) for c in export.channels] == [(1, "1"), (1, "4"), (2, "2"), (3, "3")]


def test_a_stack_that_was_broken_off_stays_with_those_that_were_not(tmp_path: Path) -> None:
    attributes = 'bts:TopDistance="3" bts:BottomDistance="0" bts:SliceLength="1.5"'
    timelines = [[("ActionAcquire3D", attributes, (1,)), ("ActionAcquire3D", attributes, (2,))]]
    records = [*stack(Img(channel=1), 3), *stack(Img(channel=2, action=2), 2)]
    export = read(Measurement(records=records, timelines=timelines), tmp_path)
    assert len(export.acquisitions) == 1
    assert export.planes.num_rows == 5


def test_a_step_that_the_protocol_does_not_say(tmp_path: Path) -> None:
    attributes = 'bts:TopDistance="3" bts:BottomDistance="0" bts:SliceLength="1"'
    timelines = [[("ActionAcquire3D", attributes, (1,))]]
    export = read(Measurement(records=stack(Img(), 3), timelines=timelines), tmp_path)
    assert export.acquisitions[0].z_step_um == 1.5
    assert told(export, "planes lie 1.5 µm apart, the protocol says 1 µm")


def test_time_lines_of_other_wells_and_channels_share(tmp_path: Path) -> None:
    """TimePoint counts on through the time lines: each has one time point here."""
    records = [Img(row=row, t=row - 1, timeline=row - 1, channel=row - 1) for row in (2, 3, 4)]
    export = read(Measurement(records=records), tmp_path)
    assert len(export.acquisitions) == 1
    assert planes(export, "well_id", "timepoint", "channel_index") == [("B03", 0, 0), ("C03", 0, 1), ("D03", 0, 2)]


def test_time_lines_with_other_fields_do_not_share(tmp_path: Path) -> None:
    records = [Img(), Img(timeline=2, t=2, channel=2, x=100.0)]
    export = read(Measurement(records=records), tmp_path)
    assert planes(export, "acquisition_id", "timepoint") == [(1, 0), (2, 0)]
    assert export.fields["x_um"].to_pylist() == [-500.0, 100.0]
    assert [a.name for a in export.acquisitions] == [
        f"Run #1, single planes of time line {n}, action 1" for n in (1, 2)
    ]


def test_time_lines_of_other_lengths_on_one_field_do_not_share(tmp_path: Path) -> None:
    records = [Img(t=t) for t in (1, 2, 3)] + [Img(t=t, timeline=2, channel=2) for t in (4, 5)]
    export = read(Measurement(records=records), tmp_path)
    assert planes(export, "acquisition_id", "timepoint") == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_one_channel_in_two_actions(tmp_path: Path) -> None:
    records = [Img(channel=c, action=a, z_um=3.0 * a) for c, a in ((1, 1), (2, 2), (1, 3))]
    export = read(Measurement(records=records), tmp_path)
    assert [(c.acquisition_id, c.vendor_id) for c in export.channels] == [(1, "1"), (1, "2"), (2, "1")]
    assert export.planes["z_um"].to_pylist() == [3.0, 6.0, 9.0]


def test_channels_of_other_sizes_do_not_share(tmp_path: Path) -> None:
    channels = (CHANNELS[0], replace(CHANNELS[1], height=3, width=4, pixel="0.65"))
    export = read(Measurement(records=[Img(), Img(channel=2)], channels=channels), tmp_path)
    assert [(a.height, a.width, a.pixel_size_x_um) for a in export.acquisitions] == [(6, 8, 0.325), (3, 4, 0.65)]


@pytest.mark.parametrize(
    ("numbers", "timeline", "expected"),
    [
        ({1: {1, 2, 4}}, 1, {1: 0, 2: 1, 4: 3}),
        ({1: {7}}, 1, {7: 0}),
        ({1: {1}, 2: {2}, 3: {3}}, 3, {3: 0}),
        ({1: {1, 2}, 2: {3, 4, 6}}, 2, {3: 0, 4: 1, 6: 3}),
        ({1: {1, 3, 5}, 2: {2, 4, 6}}, 1, {1: 0, 3: 1, 5: 2}),
        ({1: {1, 3, 5}, 2: {2, 4, 6}}, 2, {2: 0, 4: 1, 6: 2}),
        ({1: {1, 2, 3}, 2: {2, 3}}, 2, {2: 1, 3: 2}),
    ],
)
def test_time_points_count_within_their_time_line(
    numbers: dict[int, set[int]], timeline: int, expected: dict[int, int]
) -> None:
    assert count_timepoints(timeline, numbers) == expected


def test_time_points_that_were_interrupted(tmp_path: Path) -> None:
    start = datetime(2024, 5, 1, 10, tzinfo=UTC)
    records = [
        Img(row=row, t=t, time=start.replace(minute=10 * t).isoformat())
        for row, times in ((2, (1, 2, 3, 4)), (3, (1, 2, 4)), (4, (1, 2)))
        for t in times
    ]
    export = read(Measurement(records=records), tmp_path)
    assert planes(export, "well_id", "timepoint")[4:] == [("C03", 0), ("C03", 1), ("C03", 3), ("D03", 0), ("D03", 1)]
    assert export.acquisitions[0].time_interval_s == 600.0
    assert export.planes["acquired_at"][0].as_py() == datetime(2024, 5, 1, 10, 10, tzinfo=UTC)


def test_times_without_a_zone(tmp_path: Path) -> None:
    records = [
        Img(time="2024-05-01T10:00:00"),
        Img(field=2, time="yesterday"),
        Img(field=3, time="0001-01-01T00:00+14:00"),
    ]
    export = read(Measurement(records=records, began="2024-05-01T09:00:00"), tmp_path)
    assert told(export, "times of acquisition name no time zone")
    assert told(export, "the start of the measurement names no time zone")
    assert export.planes["acquired_at"].null_count == 2


def test_records_told_again(tmp_path: Path) -> None:
    export = read(Measurement(records=[Img(z_um=1.0), Img(), Img(z_um=2.0)]), tmp_path)
    assert export.planes["z_um"].to_pylist() == [2.0]
    assert told(export, "2 records are told again")


def test_a_plane_told_twice_with_two_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="describes 1 planes twice"):
        read(Measurement(records=[Img(), Img(file="other.tif")]), tmp_path)


def test_a_file_told_as_two_planes(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="records 1 and 2 tell different planes and are one file, one"):
        read(Measurement(records=[Img(file="one.tif"), Img(field=2, file="one.tif")]), tmp_path)


@pytest.mark.parametrize("prefix", ["bts", "yk", ""])
def test_any_prefix(tmp_path: Path, prefix: str) -> None:
    export = read(replace(usual(), prefix=prefix, bom=prefix == "yk"), tmp_path)
    assert export.planes.num_rows == 24
    assert export.channels[0].color == "002FFF"


def test_a_record_list_in_utf_16_with_its_mark(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    index = folder / "MeasurementData.mlf"
    index.write_bytes(index.read_text().replace("utf-8", "utf-16").encode("utf-16"))
    assert CellVoyagerReader().read(folder)[0].planes.num_rows == 24


def test_shading_and_dark_images_are_recorded_and_no_planes(tmp_path: Path) -> None:
    measurement = usual()
    channels = (*CHANNELS[:1], replace(CHANNELS[1], shading="SC_gone.tif"), *CHANNELS[2:])
    export = read(replace(measurement, channels=channels), tmp_path)
    first, second = export.channels
    assert first.flatfield == {
        "kind": "image", "file": "SC_BP445-45_20x v2_M01_CH01.tif", "dark_file": "DC_DCAM#1_CAM3.tif",
    }  # fmt: skip
    assert second.flatfield is None
    assert told(export, "shading images named but not there: SC_gone.tif")
    assert not any(str(file).startswith(("SC_", "DC_")) for (file,) in planes(export, "file"))


def test_names_in_another_case(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    for file in sorted(folder.iterdir()):
        file.rename(folder / file.name.upper())
    (export,) = CellVoyagerReader().read(folder)
    assert export.planes["size"].null_count == 0
    assert export.planes["file"][0].as_py().endswith(".TIF")
    assert len(export.metadata_files) == 5
    assert export.channels[0].flatfield


def test_folders_that_were_flattened(tmp_path: Path) -> None:
    folder = projections().write(tmp_path / "x")
    for file in sorted(folder.glob("Projection/*")):
        file.rename(folder / file.name)
    (export,) = CellVoyagerReader().read(folder)
    assert export.planes["size"].null_count == 0
    assert export.planes["file"].to_pylist()[-1] == "W0069F0001T0001Z000C1.tif"


def test_an_image_of_the_same_name_elsewhere_is_another(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (folder / "masks").mkdir()
    image = next(folder.glob("Plate #1_*.tif"))
    image.rename(folder / "masks" / image.name)
    (export,) = CellVoyagerReader().read(folder)
    assert export.planes["size"].null_count == 1


def test_odd_names(tmp_path: Path) -> None:
    name = "Plättchen #1 & 100% <µ>"
    export = read(replace(usual(), name=name, wpi="Plättchen #1.wpi", wpp="10_Greiner_μClear #655090.wpp"), tmp_path)
    assert export.name == name
    assert export.planes["size"].null_count == 0
    assert len(export.metadata_files) == 5


def test_files_that_were_renamed_are_still_found(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (folder / "Protocol 20x.mes").rename(folder / "other.mes")
    (export,) = CellVoyagerReader().read(folder)
    assert export.channels[0].exposure_ms == 100.0


@pytest.mark.parametrize("gone", ["mes", "wpi", "wpp"])
def test_companions_that_are_absent(tmp_path: Path, gone: str) -> None:
    folder = usual().write(tmp_path / "x")
    (file,) = folder.glob(f"*.{gone}")
    file.unlink()
    (export,) = CellVoyagerReader().read(folder)
    assert told(export, f"{file.name} is not there")
    assert (export.planes.num_rows, export.n_rows, export.n_columns) == (24, 8, 12)


def test_a_companion_that_is_damaged(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (folder / "Protocol 20x.mes").write_bytes(b"<MeasurementSetting><Chan")
    (export,) = CellVoyagerReader().read(folder)
    assert told(export, "not used: Protocol 20x.mes is cut off")
    assert export.channels[0].name == "Channel 1"


def test_without_details_the_user_names_the_pixel_size(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (folder / "MeasurementDetail.mrf").unlink()
    with pytest.raises(InvalidDataError) as error:
        CellVoyagerReader().read(folder)
    assert "--pixel-size" in str(error.value.hint)
    (export,) = CellVoyagerReader().with_options(ReaderOptions(pixel_size_um=0.65)).read(folder)
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 0.65)
    assert export.channels[0].exposure_ms == 100.0
    assert told(export, "has no MeasurementDetail.mrf beside it")


def test_the_plate_format_that_the_user_names(tmp_path: Path) -> None:
    folder = replace(usual(), mes="", wpi="", wpp="", rows=0, columns=0).write(tmp_path / "x")
    (guessed,) = CellVoyagerReader().read(folder)
    assert (guessed.n_rows, guessed.n_columns) == (8, 12)
    assert told(guessed, "does not say the size of the plate")
    (export,) = CellVoyagerReader().with_options(ReaderOptions(plate_format=(16, 24))).read(folder)
    assert (export.n_rows, export.n_columns) == (16, 24)


def test_a_channel_that_the_details_do_not_describe(tmp_path: Path) -> None:
    folder = Measurement(records=[Img(), Img(channel=9)]).write(tmp_path / "x")
    with pytest.raises(InvalidDataError, match="how large a pixel of channel 9 is"):
        CellVoyagerReader().read(folder)
    (export,) = CellVoyagerReader().with_options(ReaderOptions(pixel_size_um=0.325)).read(folder)
    assert told(export, "channels 9 were acquired, but the .mrf does not describe them")
    assert [c.vendor_id for c in export.channels] == ["1", "9"]


def test_channels_of_one_name(tmp_path: Path) -> None:
    channels = (Chan(number=1, target="test"), Chan(number=2, target="test"))
    export = read(Measurement(records=[Img(), Img(channel=2)], channels=channels), tmp_path)
    assert told(export, "channels 1, 2 are all called 'test'")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('Row="2"', 'Row="0"', "row 0"),
        ('Row="2"', 'Row="7"', "outside its plate"),
        ('FieldIndex="1"', "", "has no FieldIndex"),
        ('Ch="1"', 'Ch="one"', "no whole number"),
        ('TimePoint="1"', 'TimePoint="90000"', "far from all others"),
        ('ZIndex="1"', 'ZIndex="900"', "far from all others"),
        ('X="-500.0"', 'X="left"', "no number"),
        ('X="-500.0"', 'X="1e300"', "away from its well"),
        (">Plate", ">../Plate", "with '..'"),
        (">Plate", ">C:\\Plate", "a drive"),
        (">Plate", ">/etc/Plate", "an absolute path"),
    ],
)
def test_damaged_records_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    measurement = replace(usual(), prefix="", rows=6, columns=12)
    folder = measurement.write(tmp_path / "x")
    index = folder / "MeasurementData.mlf"
    index.write_text(index.read_text().replace(old, new, 1))
    with pytest.raises(InvalidDataError, match=words):
        CellVoyagerReader().read(folder)


@pytest.mark.parametrize(
    ("tweak", "words"),
    [
        ({"width": 70_000}, "no camera's"),
        ({"pixel": "1e-9"}, "no microscope's"),
        ({"pixel": "0"}, "how large a pixel"),
        ({"shading": "../SC.tif"}, "with '..'"),
    ],
)
def test_damaged_details_are_refused(tmp_path: Path, tweak: dict[str, object], words: str) -> None:
    channel = replace(CHANNELS[0], **tweak)  # type: ignore[arg-type]  # of the fields' types
    with pytest.raises(InvalidDataError, match=words):
        read(Measurement(records=[Img(write=False)], channels=(channel,)), tmp_path)


def test_sizes_of_absent_images_that_nothing_says(tmp_path: Path) -> None:
    channel = replace(CHANNELS[0], width=0)
    with pytest.raises(InvalidDataError, match="none of its images is there"):
        read(Measurement(records=[Img(write=False)], channels=(channel,)), tmp_path)


def test_no_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="records no image"):
        read(Measurement(records=[Err()]), tmp_path)


def test_files_differ_about_the_plate(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (folder / "Plate #1.wpi").write_bytes(replace(usual(), rows=16, columns=24).wpi_bytes())
    (export,) = CellVoyagerReader().read(folder)
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert told(export, "files differ in the rows and columns of the plate (the .wpp 8 × 12, the .wpi 16 × 24")


@pytest.mark.parametrize(("rows", "columns", "size"), [(16, 0, (16, 24)), (0, 12, (8, 12))])
def test_half_a_plate_size(tmp_path: Path, rows: int, columns: int, size: tuple[int, int]) -> None:
    export = read(replace(usual(), rows=rows, columns=columns), tmp_path / "x")
    assert (export.n_rows, export.n_columns) == size
    assert told(export, f"the .wpp says {rows or 'no'} rows and {columns or 'no'} columns of the plate")
    assert told(export, "is taken, which holds its wells")


def test_a_plate_file_that_says_half_or_nonsense_gives_way_to_the_next(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (wpp,) = folder.glob("*.wpp")
    good = wpp.read_text(encoding="utf-8-sig")
    for columns in ("", 'bts:Columns="many"'):
        wpp.write_text(good.replace('bts:Columns="12"', columns), encoding="utf-8")
        (export,) = CellVoyagerReader().read(folder)
        assert (export.n_rows, export.n_columns) == (8, 12)
        assert told(export, "the .wpp")


def test_half_a_pixel_size(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    mrf = folder / "MeasurementDetail.mrf"
    text = mrf.read_text(encoding="utf-8-sig")
    mrf.write_text(text.replace('bts:VerticalPixelDimension="0.325"', ""), encoding="utf-8")
    (export,) = CellVoyagerReader().read(folder)
    assert export.acquisitions[0].pixel_size_y_um == 0.325
    assert told(export, "channel 1: a pixel is 0.325 µm wide, and nothing says how high; the same is taken")
    (given,) = CellVoyagerReader(ReaderOptions(pixel_size_um=0.5)).read(folder)
    assert told(given, "--pixel-size 0.5 µm overrules the 0.325 µm of channel 1 in the .mrf")


def test_several_companions_that_nothing_names(tmp_path: Path) -> None:
    folder = replace(usual(), mes="").write(tmp_path / "x")
    for name in ("one.mes", "two.mes"):
        (folder / name).write_bytes(usual().mes_bytes())
    (export,) = CellVoyagerReader().read(folder)
    assert told(export, "several .mes files, one.mes, two.mes, and nothing names the one that counts")


@pytest.mark.parametrize("bad", ["b", "b/Projection"])
def test_a_folder_that_cannot_be_listed_is_no_loss_in_silence(
    tmp_path: Path, unlistable: Callable[[Path], None], bad: str
) -> None:
    for name in ("a", "b"):
        projections().write(tmp_path / name)
    unlistable(tmp_path / bad)
    assert CellVoyagerReader().detect(tmp_path) is not None
    with pytest.raises(StorageError, match=f"{bad} cannot be listed: Permission denied"):
        CellVoyagerReader().read(tmp_path)


def test_a_bomb_is_not_lit(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "MeasurementData.mlf").write_text(
        '<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><MeasurementData>&b;</MeasurementData>'
    )
    evidence = CellVoyagerReader().detect(folder)
    assert evidence is not None
    assert evidence.confidence == 0
    with pytest.raises(NotAnExportError, match="document type"):
        CellVoyagerReader().read(folder)


def test_something_else_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "MeasurementData.mlf").write_text('<MeasurementData xmlns="urn:other"/>')
    evidence = CellVoyagerReader().detect(tmp_path)
    assert evidence is not None
    assert evidence.confidence == 0
    assert "urn:other" in evidence.facts[0]


def test_a_prefix_that_was_never_declared(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    for file in folder.glob("*.w*"):
        file.write_bytes(file.read_bytes().replace(b"xmlns:bts", b"xmlns:bt"))
    mes = folder / "Protocol 20x.mes"
    mes.write_bytes(mes.read_bytes().replace(b"<bts:Light", b"<b:Light").replace(b"</bts:Light", b"</b:Light"))
    (export,) = CellVoyagerReader().read(folder)
    assert told(export, "not used: 1009680001_Cellvis_#P96-1.5H-N.wpp is no WellPlateProduct")
    assert export.channels[0].excitation_nm is None


def test_details_without_records(tmp_path: Path) -> None:
    folder = usual().write(tmp_path / "x")
    (folder / "MeasurementData.mlf").unlink()
    evidence = CellVoyagerReader().detect(folder)
    assert evidence is not None
    assert evidence.confidence == 0
    assert "no MeasurementData.mlf" in evidence.facts[0]
    with pytest.raises(NotAnExportError):
        CellVoyagerReader().read(folder)


def test_details_without_records_beside_a_measurement_are_told(tmp_path: Path) -> None:
    usual().write(tmp_path / "a")
    lost = usual().write(tmp_path / "b")
    (lost / "MeasurementData.mlf").unlink()
    (export,) = CellVoyagerReader().read(tmp_path)
    assert export.planes.num_rows == 24
    assert told(export, f"{lost} has no MeasurementData.mlf; it is left out")


def test_a_measurement_far_below_is_read_with_the_others(tmp_path: Path) -> None:
    usual().write(tmp_path / "a")
    replace(usual(), name="Deep").write(tmp_path / "b" / "c" / "d" / "e" / "f" / "g")
    assert [export.name for export in CellVoyagerReader().read(tmp_path)] == ["Plate #1", "Deep"]


def test_a_measurement_behind_a_link_is_told(tmp_path: Path) -> None:
    usual().write(tmp_path / "all" / "a")
    usual().write(tmp_path / "elsewhere")
    link = tmp_path / "all" / "b"
    link.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (export,) = CellVoyagerReader().read(tmp_path / "all")
    assert told(export, f"{link} is a link to a folder, which is not followed")
    assert CellVoyagerReader().read(link)[0].planes["size"].null_count == 0


def test_measurements_of_one_plate_are_its_acquisitions(tmp_path: Path) -> None:
    later = replace(usual(), began="2024-05-02T09:00:00+02:00", title="Run #2")
    later.write(tmp_path / "a" / "Run #2")
    usual().write(tmp_path / "b" / "Run #1")
    replace(usual(), name="Other").write(tmp_path / "c")
    one, other = CellVoyagerReader().read(tmp_path)
    assert [a.name for a in one.acquisitions] == ["Run #1", "Run #2"]
    assert planes(one, "acquisition_id", "file")[0] == (1, "b/Run #1/Plate #1_B03_T0001F001L01A01Z01C01.tif")
    assert one.planes.num_rows == 48
    assert one.planes["size"].null_count == 0
    assert one.channels[0].flatfield is not None
    assert one.channels[0].flatfield["file"] == "b/Run #1/SC_BP445-45_20x v2_M01_CH01.tif"
    assert "a/Run #2/MeasurementData.mlf" in one.metadata_files
    assert (other.plate_id, other.planes.num_rows) == ("Other", 24)
    assert told(one, "b/Run #1, a/Run #2 all name the plate Plate #1")


def test_plates_of_one_name_and_two_formats(tmp_path: Path) -> None:
    usual().write(tmp_path / "a")
    replace(usual(), rows=16, columns=24).write(tmp_path / "b")
    with pytest.raises(InvalidDataError, match="differ in its rows and columns"):
        CellVoyagerReader().read(tmp_path)


@pytest.mark.parametrize("name", ["MeasurementDetail.mrf", "Plate #1.wpi", "Protocol 20x.mes"])
def test_a_file_beside_the_record_list_names_the_measurement(tmp_path: Path, name: str) -> None:
    folder = usual().write(tmp_path / "x")
    evidence = CellVoyagerReader().detect(folder / name)
    assert evidence is not None
    assert Path(evidence.index).name == "MeasurementData.mlf"
    assert CellVoyagerReader().read(folder / name)[0].planes.num_rows == 24
    assert CellVoyagerReader().detect(folder / "DC_DCAM#1_CAM3.tif") is None


def test_a_real_cv8000(shared_data: Path) -> None:
    folder = shared_data / "vendors" / "cellvoyager" / "cv8000-blank-pixels"
    evidence = CellVoyagerReader().detect(folder)
    assert evidence is not None
    assert evidence.confidence == 1
    (export,) = CellVoyagerReader().read(folder)
    assert (export.name, export.n_rows, export.n_columns) == ("CV8000-Minimal-DataSet-2C-3W-4S-FP2-stack", 8, 12)
    assert export.plate_type == "Cellvis #P96-1.5H-N"
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (2000, 2000, 0.325)
    assert (acquisition.z_mode, acquisition.z_step_um, acquisition.software) == ("stack", 3.0, "R2.06.03")
    assert [c.name for c in export.channels] == ["405", "488"]
    assert [c.flatfield["file"] for c in export.channels if c.flatfield] == [
        "SC_BP445-45_20x v2_M01_CH01.tif", "SC_BP525-50_20x v2_M01_CH02.tif",
    ]  # fmt: skip
    assert {w for (w,) in planes(export, "well_id")} == {"D08", "E03", "F08"}
    assert (export.planes.num_rows, export.planes["size"].null_count, export.fields.num_rows) == (96, 0, 12)
    assert export.fields["y_um"].to_pylist()[:4] == [-402.9, -402.9, 247.0, 247.0]


def test_a_real_cv7000(shared_data: Path) -> None:
    (export,) = CellVoyagerReader().read(shared_data / "vendors" / "cellvoyager" / "cv7000-index-only")
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (2160, 2560, 0.325)
    assert (acquisition.z_mode, acquisition.z_step_um, acquisition.camera) == ("stack", 1.0, "Andor")
    # Four time lines, each with a well and a channel of its own; TimePoint counts them.
    assert set(planes(export, "well_id", "channel_index", "timepoint")) == {
        ("C03", 0, 0), ("D03", 1, 0), ("E03", 2, 0), ("F03", 3, 0),
    }  # fmt: skip
    assert (export.planes.num_rows, export.planes["size"].null_count, export.fields.num_rows) == (1984, 1984, 64)
