"""What there is to do: the plates of a study, what a recipe finds on each, the fields in the order of their rows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .. import __version__
from ..errors import ConflictError, InvalidDataError, RecipeError, UsageError
from ..schemas.identifiers import parse_well
from ..schemas.tables import arrow_schema
from ..store.images.model import FieldKey
from ..store.images.plate import open_plate
from ..store.plates import imaged_plates
from ..wording import did_you_mean
from .features.dictionary import FeatureColumn, dictionary_rows
from .field import OBJECT_IDENTITY
from .parts import BATCH_FIELDS, TRACKS, BatchNote, feature_schema
from .recipe import BoundRecipe, LackingStainError, Recipe
from .segmentation.sources import check_sources
from .tracking.settings import require_laptrack
from .volume_field import why_no_volume

if TYPE_CHECKING:
    from ..store.registry import FeatureSet
    from ..store.root import LakeRoot
    from .segmentation.imported import MaskFiles

#: (acquisition, well, field)
FieldName = tuple[int, str, int]

#: What stands before the reason of a set that is made from a missing one.
_MADE_FROM = re.compile(r"made from ([^:]+): ")

#: A path, which may hold blanks, up to what is said of it.
_FILE_NAME = re.compile(r"[^\s:]*[/\\][^:]*")

#: What changes in a plate's row when its pixels are others.
PLATE_IDENTITY = ("path", "fingerprint")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlateWork:
    """One plate to be transformed: its row, the recipe bound to each acquisition, its fields in row order.

    ``left_out`` says why of each acquisition that lacks what the recipe needs while another has it; its fields are in
    no list. ``channels`` are the rows of each acquisition's channels, in the order of the images;
    ``masks`` what there is of the files of masks that the recipe imports, object set by object set.
    """

    plate: Mapping[str, Any]
    bound: Mapping[int, BoundRecipe]
    channels: Mapping[int, Sequence[Mapping[str, Any]]]
    fields: Sequence[FieldName]
    without_image: Sequence[FieldName]
    left_out: Mapping[int, str] = dataclasses.field(default_factory=dict)
    masks: Mapping[int, Mapping[str, MaskFiles]] = dataclasses.field(default_factory=dict)

    @property
    def full_scale(self) -> dict[int, list[float | None]]:
        """Grey value at which the camera saturates, for each channel of each acquisition; None where unknown."""
        return {number: [channel["max_intensity"] for channel in self.channels[number]] for number in self.bound}

    @property
    def recipe(self) -> Recipe:
        """The recipe, the same for every acquisition."""
        return next(iter(self.bound.values())).recipe

    def role_map(self) -> dict[str, dict[str, str]]:
        """Say which channel counted as which stain in each acquisition, for lineage."""
        return {
            str(acquisition_id): {n: r for n, r in zip(b.channel_names, b.roles, strict=True) if r is not None}
            for acquisition_id, b in self.bound.items()
        }

    def mask_files(self) -> Iterator[tuple[str, MaskFiles]]:
        """Give the files of masks of each object set that is imported from files, once for each acquisition."""
        for own in self.masks.values():
            yield from own.items()

    def identity(self, feature_set: FeatureSet) -> str:
        """Give 16 hex digits that change with whatever changes the rows of this plate."""
        parts: list[object] = [feature_set.hash, self.plate["fingerprint"], self.role_map(), self.fields]
        parts += [BATCH_FIELDS, __version__]
        parts += [files.listing for _, files in self.mask_files()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def columns(self, object_set: str) -> list[FeatureColumn]:
        """List the features of an object set over all acquisitions."""
        columns = {column.name: column for bound in self.bound.values() for column in bound.plans[object_set].columns}
        return list(columns.values())

    def schema(self, object_set: str) -> pa.Schema:
        """Give the columns of an object set's feature table, whether or not there is an object."""
        features = (pa.field(column.name, pa.float32()) for column in self.columns(object_set))
        return feature_schema(pa.schema([*OBJECT_IDENTITY, *features]))

    def dictionary(self, feature_set: FeatureSet, run_id: str) -> pa.Table:
        """Describe every column once, as rows of the feature dictionary."""
        rows = [
            row
            for object_set in feature_set.object_sets
            for row in dictionary_rows(self.columns(object_set), feature_set_hash=feature_set.hash, run_id=run_id)
        ]
        return pa.Table.from_pylist(rows, schema=arrow_schema("feature_dictionary"))


def plan_work(
    root: LakeRoot, recipe: Recipe, *, study_id: str, plate_ids: Sequence[str], roles: Mapping[str, str]
) -> list[PlateWork]:
    """Look at every plate before the first pixel is computed: nobody wants to hear of a missing stain after an hour.

    Raises
    ------
    NotFoundError
        The study or a plate is not in the lake.
    UsageError
        ``roles`` names a channel that a plate does not have.
    RecipeError
        No acquisition of a plate has the stains that the recipe needs, or one has a stain twice.
    InvalidDataError
        A plate has no image.
    MissingExtraError
        The recipe follows objects over time, and laptrack is not installed.
    """
    if recipe.tracking is not None:
        require_laptrack()
    return [_prepare(root, recipe, plate, roles) for plate in imaged_plates(root, study_id, plate_ids)]


def check_unchanged(root: LakeRoot, plate: Mapping[str, Any]) -> None:
    """Make sure that a plate still has the pixels that its work was planned for; its lock must be held.

    Raises
    ------
    ConflictError
        It was ingested anew in the meantime.
    """
    where = {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}
    now = root.tables.read("plates", columns=list(PLATE_IDENTITY), where=where).to_pylist()
    if now != [{name: plate[name] for name in PLATE_IDENTITY}]:
        raise ConflictError(
            f"plate {plate['plate_id']} of study {plate['study_id']} was ingested anew while its transform was planned",
            hint="Run the same command again.",
        )


def _prepare(root: LakeRoot, recipe: Recipe, plate: Mapping[str, Any], roles: Mapping[str, str]) -> PlateWork:
    where = {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}
    columns = ["acquisition_id", "well_id", "field_id", "path", "n_z_planes", "z_step_um"]
    images = root.tables.read("images", columns=columns, where=where).to_pylist()
    names: dict[bool, list[FieldName]] = {True: [], False: []}
    for image in images:
        name = (image["acquisition_id"], image["well_id"], image["field_id"])
        names[image["path"] is not None].append(name)

    def order(name: FieldName) -> tuple[int, tuple[int, int], int]:
        return name[0], parse_well(name[1]), name[2]

    if not names[True]:
        raise InvalidDataError(
            f"plate {plate['plate_id']} of study {plate['study_id']} has no image that could be measured",
            hint="Run `cytolake validate`, then ingest the plate again.",
        )
    channels = _channels(root, plate)
    bound, left_out = _bind(recipe, plate, channels, roles)
    if recipe.projection == "volume":
        _leave_planes_out(recipe, plate, images, bound, left_out)
    if recipe.projection == "single":
        _refuse_stacks(recipe, plate, images, bound)
    fields = sorted((name for name in names[True] if name[0] in bound), key=order)
    return PlateWork(
        plate=plate,
        bound=bound,
        channels={number: channels[number] for number in bound},
        fields=fields,
        without_image=sorted((name for name in names[False] if name[0] in bound), key=order),
        left_out=left_out,
        masks={
            number: check_sources(
                own,
                [
                    FieldKey(well_id, acquisition_id, field_id)
                    for acquisition_id, well_id, field_id in fields
                    if acquisition_id == number
                ],
                lambda: open_plate(root.storage, plate["path"]),
            )
            for number, own in bound.items()
        },
    )


def _channels(root: LakeRoot, plate: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Give the rows of a plate's channels by acquisition, in the order of the images' channel axis."""
    where = {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}
    rows = sorted(root.tables.read("channels", where=where).to_pylist(), key=lambda c: int(c["channel_index"]))
    return {n: [c for c in rows if c["acquisition_id"] == n] for n in sorted({c["acquisition_id"] for c in rows})}


def _bind(
    recipe: Recipe,
    plate: Mapping[str, Any],
    channels: Mapping[int, Sequence[Mapping[str, Any]]],
    roles: Mapping[str, str],
) -> tuple[dict[int, BoundRecipe], dict[int, str]]:
    """Find the recipe's stains among the channels of each acquisition; say why of those that lack one.

    Raises
    ------
    UsageError
        A channel that ``roles`` names is on no acquisition.
    RecipeError
        A stain is missing in every acquisition, or there twice in one; the message names the plate.
    """
    names = sorted({channel["name"] for own in channels.values() for channel in own})
    for name in roles:
        if name not in names:
            raise UsageError(
                f"plate {plate['plate_id']} has no channel {name!r}{did_you_mean(name, names)}",
                hint=f"Its channels: {', '.join(names)}.",
            )
    bound: dict[int, BoundRecipe] = {}
    lacking: dict[int, RecipeError] = {}
    for number, own in channels.items():
        where = f"plate {plate['plate_id']}" + (f", acquisition {number}" if len(channels) > 1 else "")
        try:
            bound[number] = recipe.bind([roles.get(c["name"], c["role"]) for c in own], [c["name"] for c in own])
        except RecipeError as error:
            named = RecipeError(f"{where}: {error.message}", hint=error.hint)
            if not isinstance(error, LackingStainError):
                raise named from error
            lacking[number] = named
    if not bound:
        raise next(iter(lacking.values()))
    return bound, {number: error.message for number, error in lacking.items()}


def _leave_planes_out(
    recipe: Recipe,
    plate: Mapping[str, Any],
    images: Sequence[Mapping[str, Any]],
    bound: dict[int, BoundRecipe],
    left_out: dict[int, str],
) -> None:
    """Leave out acquisitions none of whose fields can be measured in three dimensions, and say why.

    Raises
    ------
    RecipeError
        None is left.
    """
    why = ""
    for number in list(bound):
        reasons = [
            why_no_volume(recipe, n_z=image["n_z_planes"], z_step_um=image["z_step_um"] or recipe.z_step_um)
            for image in images
            if image["acquisition_id"] == number and image["path"] is not None
        ]
        if reasons and all(reasons):
            why = f"plate {plate['plate_id']}, acquisition {number}: {reasons[0]}"
            left_out[number] = why
            del bound[number]
    if not bound:
        raise RecipeError(why)


def _refuse_stacks(
    recipe: Recipe, plate: Mapping[str, Any], images: Sequence[Mapping[str, Any]], bound: Mapping[int, BoundRecipe]
) -> None:
    """Refuse a plate with stacks, which a recipe for single planes would only meet on its way.

    Raises
    ------
    RecipeError
        A field has several planes.
    """
    for image in images:
        if image["acquisition_id"] in bound and image["path"] is not None and (image["n_z_planes"] or 1) > 1:
            raise RecipeError(
                f"plate {plate['plate_id']}: {recipe.source} takes single planes, and field {image['field_id']} of "
                f"well {image['well_id']} is a stack of {image['n_z_planes']}",
                hint='Set projection = "max" or "mean" in the recipe.',
            )


def warnings_of(work: PlateWork, notes: Sequence[BatchNote]) -> list[str]:
    """Say what somebody should know who only reads the report."""
    plate_id = work.plate["plate_id"]
    warnings = [f"left out: {why}" for why in work.left_out.values()]
    failed = [one for note in notes for one in note.failed]
    for reason in dict.fromkeys(reason for *_, reason in failed):
        places = [(well_id, field_id) for well_id, field_id, why in failed if why == reason]
        warnings.append(
            f"plate {plate_id}: {len(places)} field(s) could not be processed, first well {places[0][0]} field "
            f"{places[0][1]}: {reason}"
        )
    warnings += [f"plate {plate_id}: {sentence}" for sentence in _sets_not_made(notes)]
    for name in dict.fromkeys(name for note in notes for name in note.rows if name != TRACKS):
        if not any(note.rows.get(name) for note in notes):
            warnings.append(
                f"plate {plate_id}: not one of the {name} was found; `transform --preview` shows what the recipe does, "
                "and `quality` what its bounds leave out (Dropped)"
            )
    if work.without_image:
        _, well_id, field_id = work.without_image[0]
        warnings.append(
            f"plate {plate_id}: {len(work.without_image)} field(s) have no image, first well {well_id} field {field_id}"
        )
    unnamed = sorted({name for bound in work.bound.values() for name in bound.unnamed_channels})
    warnings += [
        f'plate {plate_id}: channel {name!r} is not measured, because it has no role: --role "{name}=ROLE"'
        for name in unnamed
    ]
    return warnings


def _sets_not_made(notes: Sequence[BatchNote]) -> Iterator[str]:
    """Say once for each reason which sets are missing where.

    Sets made from a missing one are told with it, and reasons that differ only in the name of a file are one: a plate
    with 3,000 unfit masks has one warning, not 9,000.
    """
    sets: dict[tuple[str, str], dict[str, None]] = {}
    places: dict[tuple[str, str], dict[tuple[str, int], str]] = {}
    for note in notes:
        for well_id, field_id, object_set, skipped in note.skipped:
            derived = _MADE_FROM.match(skipped)
            source, reason = (derived[1], skipped[derived.end() :]) if derived else (object_set, skipped)
            key = (source, _FILE_NAME.sub("", reason))
            sets.setdefault(key, {})[object_set] = None
            places.setdefault(key, {}).setdefault((well_id, field_id), reason)
    for key, reasons in places.items():
        (well_id, field_id), reason = next(iter(reasons.items()))
        others = ", ".join(name for name in sets[key] if name != key[0])
        yield (
            f"no {key[0]}{f' (and so no {others})' if others else ''} in {len(reasons)} field(s), "
            f"first well {well_id} field {field_id}: {reason}"
        )
