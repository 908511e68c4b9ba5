"""What a family of features is: the columns that it makes, and the function that fills them for the objects of a field.

A family's columns are known without a pixel and without loading a kernel; what is computed once for a field, whatever
the object set (a max-tree per channel, an image's threshold), is kept in :class:`FieldPixels` for all sets that ask.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..parameters import Parameter, Value
from .dictionary import FeatureColumn

if TYPE_CHECKING:
    from .label_index import LabelIndex

FloatArray = NDArray[np.float64]

#: Types of pixels that kernels are compiled for.
PIXEL_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What is asked of a family for one object set.

    Attributes
    ----------
    object_set
        Name of the set, in lower case.
    roles
        Channels to measure, in the field's order; empty for a family that measures none.
    pairs
        Pairs of channels to compare, each in alphabetical order, so that columns have the same names whatever the
        order of a plate's channels; empty for other families.
    parameters
        Every parameter of the family, defaults filled in.
    related
        Sets that this one is the parent or the child of: ``(name, "parent" | "child")``.
    """

    object_set: str
    roles: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    related: tuple[tuple[str, Literal["parent", "child"]], ...] = ()


@dataclass(slots=True)
class FieldPixels:
    """One field at one time point: its channels, the objects of every set, and what families share.

    Attributes
    ----------
    image : uint8, uint16 or float32 (c, y, x)
        None where no family needs one.
    present : bool (c,)
        False for channels without pixels in this field: their features are NaN.
    roles
        Role of each channel; None where it has none.
    full_scale
        Grey value that counts as intensity 1.0.
    sets
        Object set to its objects.
    """

    image: NDArray[Any] | None
    present: NDArray[np.bool_]
    roles: tuple[str | None, ...]
    full_scale: float
    sets: Mapping[str, LabelIndex]
    _shared: dict[Hashable, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that it fits together.

        Raises
        ------
        UsageError
            Image, roles and ``present`` are of different channels, image and objects of different size, or the pixel
            type is none of the three.
        """
        if not self.full_scale > 0:
            raise UsageError(f"full_scale is a positive grey value, got {self.full_scale}")
        if self.image is None:
            return
        shapes = {index.shape for index in self.sets.values()}
        if self.image.ndim != 3 or any(shape != self.image.shape[1:] for shape in shapes):
            expected = " or ".join(f"(c, {height}, {width})" for height, width in sorted(shapes))
            raise UsageError(f"an image of shape {expected} belongs to these labels, got {self.image.shape}")
        if not len(self.image) == len(self.roles) == len(self.present):
            raise UsageError(
                f"{len(self.image)} channels, {len(self.roles)} roles and {len(self.present)} present flags do not fit "
                "together"
            )
        if self.image.dtype not in PIXEL_TYPES:
            raise UsageError(f"images are measured as uint8, uint16 or float32, got {self.image.dtype}")

    def channel(self, role: str) -> int:
        """Give the index of the channel with that role."""
        return self.roles.index(role)

    def pixels(self) -> NDArray[Any]:
        """Give the image, (c, y, x).

        Raises
        ------
        UsageError
            There is none.
        """
        if self.image is None:
            raise UsageError("families that measure channels need the field's image")
        return self.image

    def shared(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Give what was made under this key for the field, making it the first time it is asked for."""
        if key not in self._shared:
            self._shared[key] = make()
        made: _Made = self._shared[key]
        return made


def default_full_scale(dtype: np.dtype[Any]) -> float:
    """Give the grey value that CellProfiler reads as 1.0: the largest of an integer type, 1.0 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


@dataclass(frozen=True, slots=True)
class FieldObjects:
    """The objects of one set in one field."""

    field: FieldPixels
    object_set: str

    @property
    def index(self) -> LabelIndex:
        """Where the pixels of each object are."""
        return self.field.sets[self.object_set]

    def channels(self, roles: Sequence[str]) -> list[int]:
        """Give the indices of the channels with these roles."""
        return [self.field.channel(role) for role in roles]

    def asked(self, roles: Sequence[str]) -> NDArray[np.bool_]:
        """Say which channels, bool (c,), have one of these roles and pixels in this field."""
        return self.field.present & np.array([role in roles for role in self.field.roles], dtype=np.bool_)


class FamilyColumns(Protocol):
    """What a recipe needs to know of a family, whether it measures planes or stacks."""

    @property
    def name(self) -> str:
        """What a recipe asks for."""

    @property
    def version(self) -> int:
        """Part of the identity of a feature set."""

    @property
    def channels(self) -> Literal["none", "each", "pairs"]:
        """Whether it measures no channel, each of them, or pairs of them."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What a recipe may set."""

    @property
    def columns(self) -> Callable[[Use], list[FeatureColumn]]:
        """Give the columns for one object set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A set of features that are computed together.

    Attributes
    ----------
    name
        What a recipe asks for.
    version
        Part of the identity of a feature set; raise it whenever a number changes.
    channels
        Whether it measures no channel, each of them, or pairs of them.
    parameters
        What a recipe may set.
    columns
        The columns for one object set, in the order of ``measure``.
    measure
        float64 (n, columns): NaN where a feature is undefined, for the reason that its definition gives.
    cuda
        The same on a CUDA device; without one ``measure`` runs on every device.
    """

    name: str
    version: int
    channels: Literal["none", "each", "pairs"] = "none"
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    columns: Callable[[Use], list[FeatureColumn]]
    measure: Callable[[FieldObjects, Use], FloatArray]
    cuda: Callable[[FieldObjects, Use], FloatArray] | None = None
