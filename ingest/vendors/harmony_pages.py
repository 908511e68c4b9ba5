"""Where the pixels of each image of a Harmony index are: its file, the page in it, and how many bytes there are.

Harmony writes a file for every plane. A Columbus export has one for all planes of a well, and says with ``BufferNo``
which page is whose. An image that was listed and never recorded has no URL: it is a plane without a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import InvalidDataError
from ...wording import listed
from ..planes import safe_path
from .harmony_files import Layout
from .harmony_index import HarmonyIndex

_LIST_AT_MOST = 3
_PAGE = re.compile(r"\d{1,6}")
_DAMAGED = "The index is damaged; copy it again from the microscope's export."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The sources of the images, in the order of the index; ``sizes`` are ``None`` where no file is."""

    files: list[str]
    pages: list[int]
    sizes: list[int | None]


def locate_pages(index: HarmonyIndex, layout: Layout, name: str, warnings: list[str]) -> Pages:
    """Find the source of every image.

    Raises
    ------
    InvalidDataError
        No image has a URL, two are one page of one file, or a page is no number.
    SourceFileError
        A URL leaves the export.
    """
    urls = index.images["URL"]
    named = [position for position, url in enumerate(urls) if url]
    if not named:
        raise InvalidDataError(f"{name}: no image has a URL", hint="Export the measurement with its images.")
    found, bytes_of = layout.locate([safe_path(urls[i] or "", f"{name}: image {index.label(i)}") for i in named])
    files = [""] * len(urls)
    sizes: list[int | None] = [None] * len(urls)
    for position, file, size in zip(named, found, bytes_of, strict=True):
        files[position], sizes[position] = file, size
    unnamed = [position for position, url in enumerate(urls) if not url]
    for position in unnamed:
        # As the index calls the image; nothing is looked for under this name.
        files[position] = re.sub(r"[^\w.-]+", "_", index.label(position))
    pages = [
        0 if page is None else _page(page, index.label(i), name) for i, page in enumerate(index.images["BufferNo"])
    ]
    _refuse_shared(index, files, pages, name)
    _tell(index, [index.label(position) for position in unnamed], warnings)
    return Pages(files=files, pages=pages, sizes=sizes)


def _page(text: str, label: str, name: str) -> int:
    if not _PAGE.fullmatch(text):
        raise InvalidDataError(f"{name}: BufferNo of image {label} is {text[:40]!r}, no page of a file", hint=_DAMAGED)
    return int(text)


def _refuse_shared(index: HarmonyIndex, files: list[str], pages: list[int], name: str) -> None:
    first_with: dict[tuple[str, int], int] = {}
    for position, source in enumerate(zip(files, pages, strict=True)):
        first = first_with.setdefault(source, position)
        if first != position and index.images["URL"][position]:
            page = f"page {source[1]} of " if source[1] else ""
            raise InvalidDataError(
                f"{name}: images {index.label(first)} and {index.label(position)} are one file, {page}{source[0]}",
                hint="Files of one name in several folders were put into one; copy the export again with its folders.",
            )


def _tell(index: HarmonyIndex, unnamed: list[str], warnings: list[str]) -> None:
    if unnamed:
        warnings.append(f"{len(unnamed)} images name no file and are missing: {listed(unnamed, _LIST_AT_MOST)}")
    states = index.images["State"]
    odd = [f"{index.label(i)} ({s})" for i, s in enumerate(states) if s is not None and s.lower() != "ok"]
    if odd:
        warnings.append(f"the microscope marks {len(odd)} images as not Ok: {', '.join(odd[:_LIST_AT_MOST])}")
    if index.promised > len(states):
        warnings.append(f"the index lists {index.promised} images in its wells and describes {len(states)}")
