"""Masks made elsewhere as object sets: label images that lie in the plate, or TIFF files named after the fields.

What is imported is checked field by field. A mask that is missing or unusable is told with its reason, and the other
fields are done. Numbers of objects stay what they are in the mask, so that tables of the tool that made it can be
joined; where the set has a parent, a child takes its parent's number instead, as everywhere.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import NotFoundError, RecipeError
from ...schemas.identifiers import parse_well
from ..parameters import BadParameterError, Value, full_path, is_file

if TYPE_CHECKING:
    from ...store.images.model import FieldKey
    from ...store.images.plate import Field

Labels = npt.NDArray[np.int32]

#: Numbers above are refused: tables indexed by number would not fit into memory.
LARGEST_LABEL = 2**22 - 1

_PLACES = ("well", "row", "column", "acquisition", "field", "timepoint")
_NUMBERS = frozenset(_PLACES) - {"well", "row"}
_WIDTH = re.compile(r"0[1-9]d?")


class UnusableMaskError(Exception):
    """The mask of one field cannot be used, for this reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMask:
    """The objects of one field and time point as they came.

    Attributes
    ----------
    labels : int32 (y, x)
        With the numbers of the mask.
    name
        What was read: a path, or the name of labels in the plate.
    sha256
        Of the numbers of the mask as int32 in rows: the same objects have the same hash, whatever file they were in.
    """

    labels: Labels
    name: str
    sha256: str

    def source(self) -> dict[str, str]:
        """Say what was read, for those who ask where objects come from."""
        return {"name": self.name, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFiles:
    """What there is of the masks of a plate.

    ``found`` and ``missing`` count fields; ``listing`` is a hash of paths, sizes and times of change, to see whether
    files have changed without reading them.
    """

    pattern: str
    found: int
    missing: int
    listing: str


def find_masks(parameters: Mapping[str, Value], folder: Path) -> dict[str, Value]:
    """Check where a recipe says that masks are.

    Parameters
    ----------
    parameters
        As written: ``masks``, a pattern of paths, or ``labels``, the name of label images.
    folder
        What a relative path begins at.

    Raises
    ------
    BadParameterError
        Neither or both are given; the pattern has an unknown placeholder.
    """
    masks, labels = str(parameters["masks"]), str(parameters["labels"])
    if bool(masks) == bool(labels):
        raise BadParameterError(
            "masks",
            "missing, and so is labels" if not masks else "says where objects come from, and so does labels",
            'either masks = "FOLDER/{well}_{field}.tif", or labels = "NAME" of label images in the plate',
        )
    if not masks:
        return dict(parameters)
    named = _placeholders(masks)
    if "well" not in named and not {"row", "column"} <= set(named):
        raise BadParameterError(
            "masks", f"{masks!r} is the same for every well", "a path with {well}, or {row} and {column}"
        )
    return {**parameters, "masks": str(full_path("masks", masks, folder))}


def _placeholders(pattern: str) -> list[str]:
    allowed = "a path with " + ", ".join(f"{{{name}}}" for name in _PLACES) + "; numbers may have a width: {field:03}"
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise BadParameterError("masks", f"{pattern!r}: {error}", allowed) from error
    named = []
    for _, name, width, conversion in parts:
        if name is None:
            continue
        if name not in _PLACES or conversion or (width and not (name in _NUMBERS and _WIDTH.fullmatch(width))):
            text = name + (f"!{conversion}" if conversion else "") + (f":{width}" if width else "")
            raise BadParameterError("masks", f"{{{text}}} is no placeholder", allowed)
        named.append(name)
    return named


def mask_path(pattern: str, key: FieldKey, timepoint: int) -> Path:
    """Give the path of the mask of a field; wells and numbers hold nothing that leads to another folder."""
    return Path(
        pattern.format(
            well=key.well_id,
            row=key.well_id.rstrip(string.digits),
            column=parse_well(key.well_id)[1],
            acquisition=key.acquisition_id,
            field=key.field_id,
            timepoint=timepoint,
        )
    )


def look_for_masks(parameters: Mapping[str, Any], keys: Iterable[FieldKey]) -> MaskFiles:
    """Look for the files of all fields before any work.

    Raises
    ------
    RecipeError
        No field has one, so folder or pattern are wrong; or several fields have the same one.
    """
    pattern = str(parameters["masks"])
    paths = [mask_path(pattern, key, 0) for key in keys]
    if len(set(paths)) < len(paths):
        raise RecipeError(
            f"{pattern} is the same file for several fields of the plate",
            hint="Tell them apart with {field}, and measurements with {acquisition}.",
        )
    listing = hashlib.sha256()
    found = 0
    for path in paths:
        if is_file(path):
            state = path.stat()
            listing.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
            found += 1
    if paths and not found:
        raise RecipeError(
            f"none of the {len(paths)} field(s) has a mask; the first would be {paths[0]}",
            hint="A relative path begins at the recipe's folder; time points count from 0, fields as in the lake.",
        )
    return MaskFiles(pattern=pattern, found=found, missing=len(paths) - found, listing=listing.hexdigest())


def read_mask(field: Field, parameters: Mapping[str, Any], timepoint: int) -> ImportedMask:
    """Read the objects of one field at one time point.

    Raises
    ------
    UnusableMaskError
        There is none, or it cannot be used; the text is the reason.
    """
    n_timepoints, _, _, height, width = field.shape
    if parameters["labels"]:
        name = str(parameters["labels"])
        raw = _from_plate(field, name, timepoint)
    else:
        pattern = str(parameters["masks"])
        path = mask_path(pattern, field.key, timepoint)
        name = str(path)
        one_of = None if "{timepoint" in pattern or n_timepoints == 1 else (timepoint, n_timepoints)
        raw = _from_tiff(path, (height, width), one_of)
    labels = as_labels(raw, (height, width), name, parts=parameters["values"] == "foreground")
    return ImportedMask(labels=labels, name=name, sha256=hashlib.sha256(labels.tobytes()).hexdigest())


def _from_plate(field: Field, name: str, timepoint: int) -> npt.NDArray[Any]:
    try:
        return field.read_label(name, t=timepoint)
    except NotFoundError as error:
        known = field.labels()
        raise UnusableMaskError(
            f"no labels {name!r} in this field" + (f", it has {', '.join(known)}" if known else "")
        ) from error


def _from_tiff(path: Path, shape: tuple[int, int], one_of: tuple[int, int] | None) -> npt.NDArray[Any]:
    """Read the plane of a file, or of a file with one for each time point the ``one_of`` (time point, number).

    The file's own word on its shape is judged first: what does not fit the image may not fit into memory either.
    """
    import tifffile

    if not is_file(path):
        raise UnusableMaskError(f"there is no mask {path}")
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            found = tuple(series.shape)
            while len(found) > 2 and found[0] == 1:
                found = found[1:]
            _check_shape(path, found, shape, one_of)
            stack = np.asarray(series.asarray()).reshape(found)
    except UnusableMaskError:
        raise
    except Exception as error:
        raise UnusableMaskError(f"{path}: cannot be read as TIFF: {error}") from error
    return stack if one_of is None else np.asarray(stack[one_of[0]])


def _check_shape(path: Path, found: tuple[int, ...], shape: tuple[int, int], one_of: tuple[int, int] | None) -> None:
    if one_of is not None and (len(found) != 3 or found[0] != one_of[1]):
        raise UnusableMaskError(f"{path}: has shape {found}, the field has {one_of[1]} time points")
    if found[1 if one_of is not None else 0 :] != shape:
        raise UnusableMaskError(_of_other_shape(str(path), found, shape))


def _of_other_shape(name: str, found: Sequence[int], shape: Sequence[int]) -> str:
    return f"{name}: has shape {' × '.join(map(str, found))}, the image {' × '.join(map(str, shape))}"


def as_labels(raw: npt.NDArray[Any], shape: Sequence[int], name: str, *, parts: bool) -> Labels:
    """Check that an array holds instances, and give them as int32.

    Parameters
    ----------
    raw
        What was read.
    shape
        (y, x) of the image.
    name
        What it is called in reasons.
    parts
        Whether every value above 0 is foreground, and its connected parts (by sides and corners) the objects.

    Raises
    ------
    UnusableMaskError
        It does not fit the image, or holds no instances.
    """
    if raw.shape != tuple(shape):
        raise UnusableMaskError(_of_other_shape(name, raw.shape, shape))
    if raw.dtype.kind not in "biu":
        raise UnusableMaskError(f"{name}: its pixels are {raw.dtype}, labels are whole numbers")
    if raw.dtype.kind == "i" and raw.min(initial=0) < 0:
        raise UnusableMaskError(f"{name}: has the label {raw.min()}, labels are not negative")
    if parts:
        from scipy import ndimage

        return np.asarray(ndimage.label(raw > 0, np.ones((3, 3)))[0], dtype=np.int32)
    largest = int(raw.max(initial=0))
    if raw.dtype.kind == "b" or (largest in (255, 65535) and np.isin(raw, (0, largest)).all()):
        raise UnusableMaskError(f'{name}: tells foreground, not objects; values = "foreground" makes its parts objects')
    if largest > LARGEST_LABEL:
        raise UnusableMaskError(f"{name}: has the label {largest}, the largest that is taken is {LARGEST_LABEL}")
    return raw.astype(np.int32)


def match_to_parents(children: Labels, parents: Labels) -> tuple[Labels, int]:
    """Give each child the number of the parent that it shares most pixels with.

    Parameters
    ----------
    children, parents
        int32 (y, x).

    Returns
    -------
    labels, dropped
        int32 (y, x), the children with the numbers of their parents, and how many children were dropped: those
        without a parent, and those whose parent has a child that overlaps it more. Of equals, the parent and the
        child with the lower number count.
    """
    if children.shape != parents.shape:
        raise ValueError(f"label images of different shapes: {children.shape} and {parents.shape}")
    n_children = np.count_nonzero(np.bincount(children.ravel())[1:])
    both = (children > 0) & (parents > 0)
    stride = int(parents.max(initial=0)) + 1
    pairs, shared = np.unique(children[both].astype(np.int64) * stride + parents[both], return_counts=True)
    child, parent = pairs // stride, pairs % stride
    # By falling overlap, then rising numbers: what comes first of a child is its parent, and of that its only child.
    order = np.lexsort((parent, child, -shared))
    child, parent = child[order], parent[order]
    first = np.sort(np.unique(child, return_index=True)[1])
    child, parent = child[first], parent[first]
    only = np.unique(parent, return_index=True)[1]
    table = np.zeros(int(children.max(initial=0)) + 1, dtype=np.int32)
    table[child[only]] = parent[only]
    return table[children], int(n_children - only.size)
