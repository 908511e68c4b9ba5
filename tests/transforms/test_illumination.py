"""Light that was put into synthetic fields is found again; what is no light is left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, StorageError, UsageError
from cytolake.store.images.model import AcquisitionSpec, ChannelSpec, FieldKey, ImageSpec, Plane, PlateSpec
from cytolake.store.images.plate import Field, open_plate
from cytolake.store.images.plate import Plate as ImagePlate
from cytolake.store.images.profiles import stored_profiles
from cytolake.store.images.writer import ImageWriter, PlateWriter
from cytolake.store.storage import open_storage
from cytolake.transforms.background import BackgroundSettings
from cytolake.transforms.illumination import cellprofiler
from cytolake.transforms.illumination.correct import corrected
from cytolake.transforms.illumination.estimate import estimate, on_grid
from cytolake.transforms.illumination.flatness import flatness, mean_image
from cytolake.transforms.illumination.grids import area_means, enlarged, grid_shape, smoothed
from cytolake.transforms.illumination.plates import PlateLight, profiles_for, spread
from cytolake.transforms.illumination.settings import PARAMETERS, IlluminationSettings
from numpy.typing import NDArray

SIZE = 96


def light_of(shape: tuple[int, int] = (SIZE, SIZE), drop: float = 0.4) -> NDArray[np.float64]:
    """A lens whose middle is not that of the field: ``drop`` darker where the squared distance is 2; mean 1."""
    y, x = (np.linspace(-1, 1, size) for size in shape)
    light = 1 - drop * ((x - 0.1) ** 2 + (y[:, np.newaxis] + 0.15) ** 2) / 2
    return light / light.mean()


def field_of(rng: np.random.Generator, light: NDArray[np.float64], *, objects: int = 30) -> NDArray[np.uint16]:
    """Bright discs anywhere on an even ground, each field of a brightness of its own, lit, with noise of photons."""
    height, width = light.shape
    y, x = np.mgrid[:height, :width]
    scene = np.full(light.shape, 200.0)
    for _ in range(objects):
        middle = rng.uniform(-8, height + 8), rng.uniform(-8, width + 8)
        scene += 1500 * rng.lognormal(0, 0.4) * (np.hypot(y - middle[0], x - middle[1]) < rng.uniform(2, 5))
    return rng.poisson(scene * rng.lognormal(0, 0.4) * light).astype(np.uint16)


def fields(n: int, light: NDArray[np.float64], seed: int = 0, **kinds: Any) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    return np.stack([field_of(rng, light, **kinds) for _ in range(n)])


def error(found: NDArray[Any], true: NDArray[Any]) -> float:
    """Root mean square of the relative error."""
    return float(np.sqrt(np.mean((found / true - 1) ** 2)))


# -- grids and figures --------------------------------------------------------------------------------------------


def test_means_over_cells_are_exact() -> None:
    plane = np.arange(60, dtype=np.uint16).reshape(6, 10)
    np.testing.assert_allclose(area_means(plane, (3, 5)), plane.reshape(3, 2, 5, 2).mean((1, 3)))
    # Cells that cut pixels: nothing is lost.
    assert area_means(plane, (4, 7)).mean() == pytest.approx(plane.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"), [((2160, 2160), (128, 128)), ((540, 1080), (64, 128)), ((9, 5), (9, 5))]
)
def test_a_grid_has_the_form_of_its_image(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert grid_shape(shape) == expected


def test_planes_survive_smoothing_and_enlarging() -> None:
    y, x = np.mgrid[:20, :30]
    slanted = 3.0 + 0.2 * y - 0.1 * x
    np.testing.assert_allclose(smoothed(slanted, 0.1), slanted, rtol=1e-9)
    fine = enlarged(slanted, (40, 90))
    y, x = (np.arange(40) + 0.5) / 2 - 0.5, (np.arange(90) + 0.5) / 3 - 0.5
    np.testing.assert_allclose(fine, 3.0 + 0.2 * y[:, np.newaxis] - 0.1 * x, rtol=1e-5)
    np.testing.assert_array_equal(enlarged(np.full((1, 1), 2.0), (3, 4)), np.full((3, 4), 2.0))


def test_flatness_of_known_light() -> None:
    light = light_of()
    lit, even = flatness(light), flatness(light, light)
    assert lit.cv == pytest.approx(light.std(), rel=0.05)
    corners = [light[y, x].mean() for y in (slice(12), slice(-12, None)) for x in (slice(12), slice(-12, None))]
    assert lit.corner_to_centre == pytest.approx(np.mean(corners) / light[36:60, 36:60].mean(), abs=0.02)
    assert (even.cv, even.corner_to_centre) == (pytest.approx(0, abs=1e-9), pytest.approx(1))


def test_bright_images_do_not_decide_the_mean() -> None:
    light = light_of()
    stack = np.stack([light[::-1], 100 * light])
    np.testing.assert_allclose(mean_image(stack), (light + light[::-1]) / 2, rtol=1e-5)


# -- estimates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop", [0.1, 0.4])
def test_basic_finds_the_light(drop: float) -> None:
    light = light_of(drop=drop)
    made = estimate(on_grid(fields(32, light)), IlluminationSettings(method="basic"))
    assert made.is_useful
    assert error(made.profile(light.shape), light) < 0.01


@pytest.mark.parametrize(("average", "allowed"), [("mean", 0.05), ("median", 0.03)])
def test_cellprofiler_finds_the_light_of_many_images(average: str, allowed: float) -> None:
    light = light_of()
    stack = on_grid(fields(100, light))
    found = cellprofiler.estimate(stack, average=average, smoothing=0.1)
    assert found.mean() == pytest.approx(1)
    assert error(found, light) < allowed < error(np.ones_like(light), light) / 2


def test_a_profile_is_for_pixels_and_has_mean_1() -> None:
    light = light_of((192, 256))
    made = estimate(on_grid(fields(16, light, objects=60)), IlluminationSettings())
    profile = made.profile((192, 256))
    assert (profile.dtype, profile.shape) == (np.float32, (192, 256))
    assert profile.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert error(profile, light) < 0.02


def test_an_estimate_is_the_same_every_time_and_whatever_the_exposure() -> None:
    planes = fields(16, light_of()).astype(np.float32)
    settings = IlluminationSettings()
    first, again, brighter = (estimate(on_grid(p), settings) for p in (planes, planes, 4 * planes))
    np.testing.assert_array_equal(first.light, again.light)
    np.testing.assert_allclose(first.light, brighter.light, rtol=1e-5)


def test_even_light_is_not_made_uneven() -> None:
    even = np.ones((SIZE, SIZE))
    for seed in range(3):
        made = estimate(on_grid(fields(24, even, seed)), IlluminationSettings())
        assert not made.is_useful or error(made.light, even) < 0.02


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"15 images tell too little.*") as caught:
        estimate(on_grid(fields(15, light_of())), IlluminationSettings())
    assert "16 are needed" in (caught.value.hint or "")


def test_planes_that_tell_nothing_are_left_out() -> None:
    good = np.eye(8, dtype=np.float32) + 1
    unknown = good.copy()
    unknown[0, 0] = np.nan
    assert len(on_grid([good, np.zeros((8, 8)), np.full((8, 8), 7), unknown])) == 1
    assert len(on_grid([good], dark_level=10)) == 0


def test_a_dark_level_is_taken_off_first() -> None:
    light = light_of()
    planes = fields(24, light) + 300
    settings = IlluminationSettings(method="basic", dark_level=300)
    assert error(estimate(on_grid(planes, dark_level=300), settings).light, light) < 0.01
    assert error(estimate(on_grid(planes), settings).light, light) > 0.03


def test_real_fields_become_even(shared_data: Path) -> None:
    import tifffile

    files = sorted((shared_data / "images" / "illumination").glob("AS_*.TIF"))
    stack = on_grid(tifffile.imread(file) for file in files)
    for method, allowed in (("basic", 0.06), ("cellprofiler", 0.07)):
        made = estimate(stack, IlluminationSettings(method=method))
        assert made.before.cv > 0.2
        assert made.after.cv < allowed
        assert abs(made.after.corner_to_centre - 1) < 0.08 < abs(made.before.corner_to_centre - 1)


@pytest.mark.parametrize(
    "wrong", [{"method": "guess"}, {"images": 0}, {"min_images": 3}, {"smoothing": 2.0}, {"dark_level": float("nan")}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="illumination"):
        IlluminationSettings(**wrong)


def test_settings_have_the_defaults_of_their_table() -> None:
    assert {name: getattr(IlluminationSettings(), name) for name in PARAMETERS} == {
        name: parameter.default for name, parameter in PARAMETERS.items()
    }


def test_only_what_a_method_heeds_defines_it() -> None:
    basic = IlluminationSettings(method="basic").definition()
    assert basic == IlluminationSettings(method="basic", smoothing=0.3).definition()
    assert basic != IlluminationSettings(method="basic", images=100).definition()
    assert "smoothing" in IlluminationSettings(method="cellprofiler").definition()["parameters"]


# -- pixels -------------------------------------------------------------------------------------------------------


def test_corrected_pixels() -> None:
    light = light_of((40, 50)).astype(np.float32)
    image = np.stack([np.rint(1000 * light), np.full((40, 50), 500)]).astype(np.uint16)
    even = corrected(image, [light, None])
    assert even.dtype == np.float32
    np.testing.assert_allclose(even[0], 1000, rtol=1e-3)
    np.testing.assert_array_equal(even[1], 500)
    assert image.dtype == np.uint16
    darker = corrected(image + 100, [light, None], dark_level=100)
    np.testing.assert_allclose(darker[0], even[0], rtol=1e-6)
    np.testing.assert_array_equal(darker[1], 600)


def test_the_background_goes_after_the_light() -> None:
    light = light_of((40, 50)).astype(np.float32)
    image = (1000 * light)[np.newaxis]
    left = corrected(image, [light], BackgroundSettings(method="percentile", percentile=50.0))
    np.testing.assert_allclose(left, 0, atol=0.01)
    assert left.min() < 0 or left.max() > 0


def test_a_channel_without_pixels_stays_dark() -> None:
    image = np.zeros((1, 8, 8), np.uint16)
    profile = np.ones((8, 8), np.float32)
    out = corrected(image, [profile], dark_level=100, present=np.array([False]))
    np.testing.assert_array_equal(out, 0)


def test_profiles_must_fit_pixels() -> None:
    image = np.zeros((2, 8, 8), np.uint16)
    with pytest.raises(UsageError, match="1 illumination profiles"):
        corrected(image, [None])
    with pytest.raises(UsageError, match="does not fit"):
        corrected(image, [None, np.ones((4, 4), np.float32)])


# -- plates -------------------------------------------------------------------------------------------------------

PATH = "images/study/plate.ome.zarr"
POLYNOMIAL = '{"Type": "Polynomial", "Coefficients": [[1.0], [0.0, 0.001]], "Origin": [0, 0], "Scale": [1, 1]}'
SETTINGS = IlluminationSettings(method="basic")
Make = Callable[..., ImagePlate]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(n: int = 18, *, channels: int = 1, light: NDArray[np.float64] | None = None) -> ImagePlate:
        light = light_of() if light is None else light
        keys = tuple(FieldKey(f"{'ABC'[i % 3]}{i // 3 + 1:02}", 1, 1) for i in range(n))
        images = fields(n, light)
        storage = open_storage(tmp_path / "lake")
        acquisitions = (AcquisitionSpec(acquisition_id=1),)
        spec = PlateSpec(name="p", n_rows=8, n_columns=12, acquisitions=acquisitions, images=keys, attributes={})
        plate, writer = PlateWriter(storage, PATH, spec), ImageWriter(storage, PATH)
        plate.begin()
        for key, image in zip(keys, images, strict=True):
            own = ImageSpec(
                **key._asdict(),
                shape=(1, channels, 1, *light.shape),
                dtype="uint16",
                pixel_size_um=(None, 0.5, 0.5),
                channels=tuple(ChannelSpec(name=f"c{c}") for c in range(channels)),
                missing=tuple(Plane(0, c, 0) for c in range(2, channels)),
            )

            def read(t: int, c: int, z: int, out: NDArray[Any], image: NDArray[np.uint16] = image) -> bool:
                out[:] = image if c == 0 else 7
                return True

            writer.write(own, read)
        plate.finish()
        return open_plate(storage, PATH)

    return build


def rows(n: int = 1, **slots: Any) -> Sequence[dict[str, Any]]:
    return [{"name": f"c{c}", "flatfield": None, "flatfield_applied": False, **slots} for c in range(n)]


def look(plate: ImagePlate, settings: IlluminationSettings = SETTINGS, **more: Any) -> PlateLight:
    asked = {"channels": rows(), "fingerprint": "f1", **more}
    return profiles_for(plate, 1, settings, **asked)


def test_an_estimate_is_kept_and_taken_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plate = make()
    first = look(plate)
    (channel,) = first.channels
    assert (channel.method, channel.images, channel.is_new) == ("basic", 18, True)
    assert channel.profile is not None
    assert error(channel.profile, light_of()) < 0.02
    assert stored_profiles(plate) == [(channel.stored, 1, 0)]
    with monkeypatch.context() as patch:
        patch.setattr(Field, "read", lambda *_, **__: pytest.fail("pixels were read again"))
        again = look(plate)
    np.testing.assert_array_equal(again.profiles[0], first.profiles[0])
    assert not again.channels[0].is_new
    assert again.used() == first.used()
    assert (again.channels[0].before, again.channels[0].after) == (channel.before, channel.after)


def test_other_images_or_settings_are_another_profile(make: Make) -> None:
    plate = make()
    names = {
        look(plate).channels[0].stored,
        look(plate, fingerprint="f2").channels[0].stored,
        look(plate, IlluminationSettings(method="basic", images=17)).channels[0].stored,
    }
    assert len(names) == 3


@pytest.mark.parametrize("method", ["auto", "vendor"])
def test_the_vendor_counts_first(make: Make, method: str) -> None:
    found = look(make(2), IlluminationSettings(method=method), channels=rows(flatfield=POLYNOMIAL))
    assert found.channels[0].method == "vendor"
    assert found.profiles[0] is not None
    assert found.profiles[0].shape == (SIZE, SIZE)
    assert found.profiles[0][10, 0] == pytest.approx(1.01)
    assert found.warnings == ()


def test_a_vendors_image_is_not_in_the_lake(make: Make) -> None:
    image = rows(flatfield='{"kind": "image", "file": "shading.tif"}')
    plate = make()
    assert look(plate, IlluminationSettings(), channels=image).channels[0].method == "basic"
    refused = look(plate, IlluminationSettings(method="vendor"), channels=image)
    assert refused.profiles == [None]
    assert "shading.tif" in refused.warnings[0]


def test_what_the_microscope_corrected_is_left_alone(make: Make) -> None:
    found = look(make(), channels=rows(flatfield=POLYNOMIAL, flatfield_applied=True))
    assert found.profiles == [None]
    assert found.warnings == ()
    assert "already" in found.used()[0]["reason"]


def test_few_constant_and_absent_images_give_no_profile_and_say_so(make: Make) -> None:
    plate = make(15, channels=3)
    found = look(plate, channels=rows(3))
    assert found.profiles == [None, None, None]
    few, constant, absent = found.warnings
    assert "15 images tell too little" in few
    assert "one value each" in constant
    assert "missing" in absent
    assert look(plate, channels=rows(3)).warnings == found.warnings


def test_none_reads_and_keeps_nothing(make: Make) -> None:
    plate = make(2)
    assert look(plate, IlluminationSettings(method="none")).profiles == [None]
    assert stored_profiles(plate) == []


def test_a_field_that_cannot_be_read_is_named_and_the_rest_counts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plate = make(18)
    original = Field.read

    def read(self: Field, *arguments: Any, **options: Any) -> NDArray[Any]:
        if self.key.well_id == "B02":
            raise StorageError("pixels of level 0 are lost")
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Field, "read", read)
        found = look(plate)
    assert found.channels[0].images == 17
    assert "B02 field 1 (pixels of level 0 are lost)" in found.warnings[0]
    assert stored_profiles(plate) == []
    assert look(plate).channels[0].images == 18


def test_images_are_spread_over_a_plate() -> None:
    chosen = spread(96 * 9, 96)
    assert len(set(chosen)) == 96
    assert chosen == sorted(chosen)
    assert {n % 9 for n in chosen} == set(range(9))
    assert max(np.diff(chosen)) < 30
    assert spread(5, 9) == [0, 1, 2, 3, 4]
