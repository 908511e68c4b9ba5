"""The headers of all images of a plate, read side by side and kept small: a plate has tens of thousands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ...errors import SourceFileError
from ...wording import listed
from .imagexpress_names import ImageName
from .imagexpress_tiff import ImageHeader, read_header

_AT_ONCE, _CHUNK = 16, 128
#: A file that takes longer to open and read is on a disk far away: then several are waited for at the same time.
_SLOW_S = 1e-3
_SAID_AT_MOST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFacts:
    """What the header of one image says of its plane.

    ``offset_um`` is the middle of the field relative to the middle of its well, ``stage_um`` where the stage was, both
    x to the right and y down. ``projection`` is the method where the image is a projection. ``identity`` is equal in
    copies of one plane, ``None`` where the header cannot tell. ``has_more`` says that further images lie behind it.
    """

    shape: tuple[int, int]
    pixel_size_um: tuple[float, float | None] | None
    offset_um: tuple[float, float] | None
    stage_um: tuple[float, float] | None
    z_um: float | None
    acquired_at: datetime | None
    projection: str | None
    identity: tuple[str, ...] | None
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image on disk: its name, where it lies, time point from 0, Z step as MetaXpress numbers it, its header."""

    name: ImageName
    file: str
    timepoint: int
    step: int | None
    facts: PlaneFacts | None = None

    @property
    def wave(self) -> int:
        """The number of the wave; 1 where there is only one and the name says none."""
        return 1 if self.name.wave is None else self.name.wave

    @property
    def site(self) -> int:
        """The number of the site; 1 where there is only one and the name says none."""
        return 1 if self.name.site is None else self.name.site


def plane_facts(header: ImageHeader) -> PlaneFacts:
    """Return what a header says of its plane.

    MetaXpress counts sites from the top left of the well, and in its exports ``SiteY`` 1 of several rows lies at a
    negative ``OffsetFromWellCenterUmY``; row B of a plate has a larger stage y than row A. So y points down, as in
    the image, and is taken as it is.
    """
    properties = header.properties
    guid = properties.get("plane-guid", "").strip("{}")
    moment = properties.get("acquisition-time-local", "")
    projection = properties.get("Z Projection Method") or None
    identity = (guid, moment, properties.get("z-position", ""), projection or "")
    return PlaneFacts(
        shape=(header.height, header.width),
        pixel_size_um=header.pixel_size_um(),
        offset_um=_pair(header, "OffsetFromWellCenterUmX", "OffsetFromWellCenterUmY"),
        stage_um=_pair(header, "stage-position-x", "stage-position-y"),
        z_um=header.number("z-position"),
        acquired_at=header.acquired_at(),
        projection=projection,
        identity=identity if moment and (guid.strip("0-") or identity[2]) else None,
        has_more=header.has_more,
    )


def _pair(header: ImageHeader, x: str, y: str) -> tuple[float, float] | None:
    found = header.number(x), header.number(y)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


#: What came of one file: its facts, its header where nobody has one of its kind yet, or what is wrong.
_Header = tuple[PlaneFacts | None, ImageHeader | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """The facts of each file, and one whole header of each wave: ``samples`` by (wave, whether a projection)."""

    facts: Mapping[str, PlaneFacts]
    samples: Mapping[tuple[int, bool], ImageHeader]


def read_headers(root: Path, images: Sequence[Image], warnings: list[str]) -> Headers:
    """Read the headers of images; one that cannot be read is a warning, its pixels are somebody else's concern."""
    facts: dict[str, PlaneFacts] = {}
    samples: dict[tuple[int, bool], ImageHeader] = {}
    bad: list[str] = []
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    for chunk, found in zip(chunks, _side_by_side(root, chunks), strict=True):
        for image, (plane, header, problem) in zip(chunk, found, strict=True):
            if plane is None:
                bad.append(problem)
                continue
            facts[image.file] = plane
            if header is not None:
                samples.setdefault((image.wave, plane.projection is not None), header)
    if bad:
        shown = listed(bad, _SAID_AT_MOST, between="; ")
        warnings.append(f"{len(bad)} images have no readable header: {shown}")
    several = [file for file, plane in facts.items() if plane.has_more]
    if several:
        shown = listed(several, _SAID_AT_MOST)
        warnings.append(f"{len(several)} files hold several images, of which the first is read: {shown}")
    return Headers(facts=facts, samples=samples)


def _side_by_side(root: Path, chunks: Sequence[Sequence[Image]]) -> Iterator[list[_Header]]:
    """Read chunk by chunk, several at a time once files turn out to be slow to come."""
    start = time.monotonic()
    for chunk in chunks[:1]:
        yield _read(root, chunk)
    if time.monotonic() - start < _SLOW_S * len(chunks[0] if chunks else ()):
        yield from (_read(root, chunk) for chunk in chunks[1:])
        return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="headers") as pool:
        yield from pool.map(lambda chunk: _read(root, chunk), chunks[1:])


def _read(root: Path, images: Sequence[Image]) -> list[_Header]:
    found: list[_Header] = []
    kept: set[tuple[int, bool]] = set()
    for image in images:
        try:
            with (root / image.file).open("rb", buffering=0) as file:
                header = read_header(file, image.file)
        except SourceFileError as error:
            found.append((None, None, error.message))
            continue
        except OSError as error:
            found.append((None, None, f"{image.file} cannot be read: {error.strerror}"))
            continue
        facts = plane_facts(header)
        key = (image.wave, facts.projection is not None)
        found.append((facts, None if key in kept else header, ""))
        kept.add(key)
    return found
