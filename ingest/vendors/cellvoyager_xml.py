"""Yokogawa's XML as elements with plain attribute names: any prefix, any version of the BTS schema.

Every file of a measurement is XML whose attributes carry a namespace (``bts:Row``, or whatever prefix the file
declares). Only local names are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from lxml import etree

from ...errors import InvalidDataError, NotAnExportError
from .safe_xml import drop, local_name, xml_elements, xml_root

DAMAGED = "The file may be damaged; copy it again from the microscope."
#: Part of the schema's namespace, whichever its version; a file without any is taken at its element's word.
_NAMESPACES = ("yokogawa", "btsschema")


def check_root(data: bytes, name: str, wanted: str) -> None:
    """Refuse a document whose first element is not the element ``wanted`` of Yokogawa's.

    Parameters
    ----------
    data
        The document, or as much of its beginning as holds the first tag.
    name
        What to call it in messages.
    wanted
        Local name of the element.

    Raises
    ------
    NotAnExportError
        When it is something else, saying what.
    """
    root = xml_root(data, name)
    ours = not root.namespace or any(part in root.namespace.lower() for part in _NAMESPACES)
    if root.name != wanted or not ours:
        raise NotAnExportError(f"{name} is no {wanted} of Yokogawa's: {root}")


def read_elements(data: bytes, name: str, tags: tuple[str, ...]) -> Iterator[tuple[str, etree._Element]]:
    """Give the local name and the element of each of the named ones as it ends, in document order, in bounded memory.

    An element keeps its children until it has been given; it and all before it are then dropped.

    Raises
    ------
    SourceFileError
        When the document is cut off or not well-formed; the message names the byte.
    """
    for element in xml_elements(data, name, tags):
        yield local_name(element), element
        drop(element)


def facts_of(element: etree._Element) -> dict[str, str]:
    """Return local name -> text of the attributes that say something, blanks around it removed."""
    found: dict[str, str] = {}
    for key, value in element.attrib.items():
        text = str(value).strip()
        if text:
            found[str(key).rpartition("}")[2]] = text
    return found


def text_of(element: etree._Element) -> str:
    """Return the text of an element, blanks around it removed."""
    return (element.text or "").strip()


def whole(facts: Mapping[str, str], tag: str, where: str, default: int | None = None) -> int:
    """Return a fact that is a whole number not below 0.

    Raises
    ------
    InvalidDataError
        It is absent without a default, or no such number.
    """
    text = facts.get(tag)
    if text is None:
        if default is None:
            raise InvalidDataError(f"{where} has no {tag}", hint=DAMAGED)
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # more than any number here
        raise InvalidDataError(f"{where}: {tag} is {text[:40]!r}, no whole number that counts", hint=DAMAGED)
    return int(text)


def number(facts: Mapping[str, str], tag: str, where: str) -> float | None:
    """Return a fact as a number, None where it is absent or not finite.

    Raises
    ------
    InvalidDataError
        It is no number.
    """
    text = facts.get(tag)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidDataError(f"{where}: {tag} is {text[:40]!r}, no number", hint=DAMAGED) from error
    return value if math.isfinite(value) else None


def positive(facts: Mapping[str, str], tag: str, where: str) -> float | None:
    """Return a fact as a number above 0, None where it is absent or not above; raises as :func:`number`."""
    value = number(facts, tag, where)
    return value if value is not None and value > 0 else None
