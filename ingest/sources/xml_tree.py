"""XML that a microscope wrote into a binary file, as a tree: no entities, no document types, no network."""

from __future__ import annotations

import math

from lxml import etree

from ...errors import SourceFileError
from .base import HINT


def parse_tree(text: str, name: str) -> etree._Element:
    """Return the root of a document.

    Parameters
    ----------
    text
        The document; a byte order mark, NUL bytes behind it and a declaration are allowed.
    name
        What to call it in messages.

    Raises
    ------
    SourceFileError
        It is not well-formed, or declares a document type.
    """
    text = text.strip("\ufeff\0 \r\n\t")
    # Texts may be long (a list of time stamps), so libxml2's limits are off; entities, which they are for, are refused.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SourceFileError(f"{name} declares a document type, which no microscope does", hint=HINT)
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True,
        remove_comments=True, remove_pis=True, collect_ids=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        raise SourceFileError(f"{name} is no well-formed XML: {error.msg}", hint=HINT) from error
    if root is None:
        raise SourceFileError(f"{name} is empty", hint=HINT)
    return root


def text_at(element: etree._Element | None, path: str) -> str | None:
    """Return the text of the first element at a path, stripped; None where there is none."""
    found = element.find(path) if element is not None else None
    text = (found.text or "").strip() if found is not None else ""
    return text or None


def number_in(text: str | None, *, most: float = 1e12) -> float | None:
    """Return a finite number that a text is, not larger than ``most``; None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= most else None


def index_in(text: str | None, *, most: int = 10_000_000) -> int | None:
    """Return a whole number from 0 to ``most`` that a text is; None for anything else."""
    value = number_in(text, most=most)
    return int(value) if value is not None and value >= 0 and value == int(value) else None
