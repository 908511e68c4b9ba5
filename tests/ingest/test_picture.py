"""Pictures of an export: its plate, one well's fields, the light of its channels."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tifffile
from cytolake import lake
from cytolake.errors import InvalidDataError, NotFoundError, SourceFileError
from cytolake.ingest.illumination import channel_profile
from cytolake.ingest.picture import draw
from cytolake.ingest.readers import read_export
from cytolake.ingest.sources import PlaneSource, open_source
from harmony_xml import DAPI, Chan, Export, Img, changed, grid
from PIL import Image
from vendor_exports import imagexpress


def image_of(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


def test_draws_one_picture_of_all_plates(tmp_path: Path) -> None:
    for number in (1, 2):
        Export(images=changed(grid(), 0, write=False), plate_id=f"P{number}").write(tmp_path / "E" / f"M{number}")
    exports = read_export(tmp_path / "E")
    assert image_of(draw(exports)).height == 2 * image_of(draw(exports[:1])).height


def test_shows_the_well_that_is_asked_for(tmp_path: Path) -> None:
    images = (*grid(wells=[(1, 1)], fields=[1]), *grid(wells=[(2, 3)], fields=[1, 2, 3]))
    folder = Export(images=images).write(tmp_path / "M")
    most, first = lake.inspect_picture(folder), lake.inspect_picture(folder, well="a1")
    assert most == lake.inspect_picture(folder, well="B3")
    assert most != first
    with pytest.raises(NotFoundError, match="no image of well C04") as raised:
        lake.inspect_picture(folder, well="C04")
    assert raised.value.hint == "The nearest are B03, A01; in all A01, B03."
    with pytest.raises(InvalidDataError):
        lake.inspect_picture(folder, well="somewhere")


def test_shows_the_acquisition_that_is_asked_for(tmp_path: Path) -> None:
    folder = imagexpress.mixed(exported=True).write(tmp_path / "plate")
    drawn = {number: lake.inspect_picture(folder, acquisition=number) for number in (1, 2, 3)}
    assert len(set(drawn.values())) == 3
    with pytest.raises(NotFoundError, match="no acquisition 4") as raised:
        lake.inspect_picture(folder, acquisition=4)
    assert raised.value.hint == "It has 1, 2, 3."


def test_says_which_acquisitions_lack_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.store.images import picture

    told: list[list[str]] = []
    real = picture.plate_picture

    def spy(*size: int, **how: Any) -> bytes:
        told.append(list(how["notes"]))
        return real(*size, **how)

    monkeypatch.setattr(picture, "plate_picture", spy)
    (export,) = read_export(imagexpress.mixed(exported=True).write(tmp_path / "plate"))
    sizes = [None if n == 2 else 100 for n in export.planes["acquisition_id"].to_pylist()]
    place = export.planes.schema.get_field_index("size")
    planes = export.planes.set_column(place, export.planes.schema.field("size"), pa.array(sizes, pa.int64()))
    draw([replace(export, planes=planes)])
    wells = planes.filter(pc.field("acquisition_id") == 2)["well_id"]
    count = pc.count_distinct(wells).as_py()
    assert told == [[f"acquisition 2: {len(wells)} planes missing in {count} well{'s' if count > 1 else ''}"]]


def test_pixels_are_shown_where_they_are(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    with_pixels = lake.inspect_picture(folder)
    for file in (folder / "Images").glob("*.tiff"):
        file.write_bytes(b"II*\0 not a picture")
    broken = lake.inspect_picture(folder)
    for file in (folder / "Images").glob("*.tiff"):
        file.unlink()
    absent = lake.inspect_picture(folder)
    assert len({with_pixels, broken, absent}) == 3


def test_files_of_another_size_than_promised(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    for file in (folder / "Images").glob("*.tiff"):
        tifffile.imwrite(file, np.zeros((3, 4), np.uint16))
    assert image_of(lake.inspect_picture(folder))


def test_the_middle_of_a_stack_at_the_first_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.ingest import picture

    opened: list[str] = []

    def spy(path: Path) -> PlaneSource:
        opened.append(path.name)
        return open_source(path)

    monkeypatch.setattr(picture, "open_source", spy)
    lake.inspect_picture(Export(images=grid(planes=3, times=2)).write(tmp_path / "M"))
    assert opened == ["r01c01f01p02-ch1sk1fk1fl1.tiff", "r01c01f02p02-ch1sk1fk1fl1.tiff"]
    monkeypatch.setattr(picture, "_MOST_PIXELS", 10)
    assert image_of(lake.inspect_picture(tmp_path / "M"))
    assert len(opened) == 2, "an export too large to be read in passing"


def test_profiles_are_part_of_it(tmp_path: Path) -> None:
    one = image_of(lake.inspect_picture(Export(images=grid()).write(tmp_path / "a")))
    none = image_of(lake.inspect_picture(Export(images=grid(), profiles=False).write(tmp_path / "b")))
    assert one.height > none.height + 96


def test_a_light_that_cannot_be_drawn_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.store.images import mosaic

    told: list[tuple[list[str], list[str]]] = []
    real = mosaic.profiles_picture

    def spy(profiles: Any, *, title: str, notes: Any) -> bytes:
        told.append((list(profiles), list(notes)))
        return real(profiles, title=title, notes=notes)

    monkeypatch.setattr(mosaic, "profiles_picture", spy)
    (export,) = read_export(Export(images=grid()).write(tmp_path / "M"))
    first, second = export.channels
    gone = replace(first, flatfield={"kind": "image", "file": "gone.tif"})
    assert image_of(draw([replace(export, channels=(gone, second))]))
    assert image_of(draw([replace(export, channels=(gone, replace(second, flatfield=None)))]))
    (drawn, notes), (none, same) = told
    assert (drawn, none) == ([second.name], [])
    assert notes == same
    assert notes[0].startswith(f"not drawn: {first.name}: ")
    assert "gone.tif" in notes[0]


def test_one_large_channel_in_many_fields(tmp_path: Path) -> None:
    images = tuple(Img(field=n, x=2.0 * (n % 10), y=1.5 * (n // 10), channel=1, write=n % 3 > 0) for n in range(1, 101))
    folder = Export(images=images, channels=(Chan(id=1, name=DAPI.name, height=60, width=80),)).write(tmp_path / "M")
    assert image_of(lake.inspect_picture(folder))


# --- the light of a channel


@pytest.fixture
def shading(tmp_path: Path) -> Path:
    image = np.linspace(500, 1500, 48, dtype=np.uint16).reshape(6, 8)
    tifffile.imwrite(tmp_path / "SC_#1.tif", image)
    tifffile.imwrite(tmp_path / "black.tif", np.zeros((6, 8), np.uint16))
    return tmp_path


def test_a_shading_image(shading: Path) -> None:
    flatfield = {"kind": "image", "file": "SC_#1.tif"}
    profile = channel_profile(flatfield, (6, 8), folder=shading)
    assert profile.dtype == np.float32
    assert profile.mean() == pytest.approx(1, abs=1e-6)
    assert profile[-1, -1] / profile[0, 0] == pytest.approx(3, abs=0.01)
    binned = channel_profile(flatfield, (3, 4), folder=shading)
    np.testing.assert_allclose(binned, profile.reshape(3, 2, 4, 2).mean((1, 3)), rtol=1e-3)


@pytest.mark.parametrize(
    ("flatfield", "shape", "kind"),
    [
        ({"kind": "image", "file": "SC_#1.tif"}, (12, 16), InvalidDataError),
        ({"kind": "image", "file": "black.tif"}, (6, 8), InvalidDataError),
        ({"kind": "image", "file": "gone.tif"}, (6, 8), SourceFileError),
        ({"kind": "image", "file": "../SC_#1.tif"}, (6, 8), SourceFileError),
        ({"kind": "image"}, (6, 8), InvalidDataError),
        ({}, (6, 8), InvalidDataError),
    ],
)
def test_a_light_that_cannot_be_told(
    shading: Path, flatfield: dict[str, str], shape: tuple[int, int], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        channel_profile(flatfield, shape, folder=shading)


def test_a_lake_does_not_keep_the_image() -> None:
    with pytest.raises(NotFoundError, match="folder of the export"):
        channel_profile({"kind": "image", "file": "SC.tif"}, (6, 8), folder=None)


def test_the_light_of_a_plate_in_the_lake(tmp_path: Path) -> None:
    from cytolake import init_lake
    from cytolake.store.images import correct

    export = Export(images=grid(), tweak=lambda t: t.replace("[-0.8, 0.05, -0.4]", "[0, 0, 0]")).write(tmp_path / "M")
    home = init_lake(tmp_path / "lake")
    home.ingest(export, study="s")
    light = home.illumination("s", "P0001")
    assert [one.shape for one in light if one is not None] == [(6, 8), (6, 8)]
    pixels = home.plate("s", "P0001").field("A01", 1).read()
    expected = np.rint(pixels[0, 0] / (1.2 + 0.1 * (np.arange(8) - 3.5) / 8 - 0.2 * (np.arange(6)[:, None] - 2.5) / 8))
    np.testing.assert_allclose(correct(pixels, light)[0, 0], expected, atol=1)
    with pytest.raises(NotFoundError):
        home.illumination("s", "P0001", acquisition=2)
