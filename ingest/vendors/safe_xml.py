"""XML from outside, read in one pass: no entities, no document types, no network, libxml2's limits on.

What is not well-formed raises with the byte where it stops; what is no XML, or declares a document type, is no export.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from ...errors import NotAnExportError, SourceFileError

_CHUNK = 1 << 20
_FIRST_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlRoot:
    """The first element of a document; ``attributes`` without those of other namespaces."""

    name: str
    namespace: str
    attributes: dict[str, str]

    def __str__(self) -> str:
        where = f"namespace {self.namespace}" if self.namespace else "no namespace"
        return f"root element is <{self.name}> in {where}"


def local_name(element: etree._Element) -> str:
    """Return the name of an element without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def xml_root(data: bytes, name: str) -> XmlRoot:
    """Return what a document opens with; reads no further than its first element.

    Raises
    ------
    NotAnExportError
        There is no XML element, or a document type is declared.
    """
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, load_dtd=False)
    try:
        for start in range(0, len(data), _FIRST_CHUNK):
            parser.feed(data[start : start + _FIRST_CHUNK])
            for element in _told(parser):
                if element.getroottree().docinfo.internalDTD is not None:
                    raise NotAnExportError(f"{name} declares a document type, which no microscope does")
                # Not etree.QName, which raises where a prefix was never declared.
                namespace, _, name_of = str(element.tag).rpartition("}")
                attributes = {str(k): str(v) for k, v in element.attrib.items() if not str(k).startswith("{")}
                return XmlRoot(name=name_of, namespace=namespace.removeprefix("{"), attributes=attributes)
    except etree.XMLSyntaxError as error:
        raise NotAnExportError(f"{name} is not XML: {error.msg}") from error
    raise NotAnExportError(f"{name} is not XML: no element in {len(data)} bytes")


def xml_elements(data: bytes, name: str, tags: tuple[str, ...]) -> Iterator[etree._Element]:
    """Give the elements of those names (any namespace) at their ends, in document order.

    Call :func:`drop` on each that is done with, so that the tree of a large document does not build up.

    Raises
    ------
    SourceFileError
        The document is cut off or not well-formed.
    """
    parser = etree.XMLPullParser(
        events=("end",),
        tag=[f"{{*}}{tag}" for tag in tags],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        for start in range(0, len(data), _CHUNK):
            parser.feed(data[start : start + _CHUNK])
            yield from _told(parser)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise _broken(data, name, error) from error
    yield from _told(parser)


def drop(element: etree._Element) -> None:
    """Free an element that was used, and the ones before it."""
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]


def _told(parser: etree.XMLPullParser) -> Iterator[etree._Element]:
    for _, element in parser.read_events():
        # Start and end events bring an element; lxml's stubs allow for comments and namespaces as well.
        if isinstance(element, etree._Element):
            yield element


def _broken(data: bytes, name: str, error: etree.XMLSyntaxError) -> SourceFileError:
    line, column = error.position if error.position else (1, 1)
    at = 0
    for _ in range((line or 1) - 1):
        at = data.find(b"\n", at) + 1
    at = min(at + max((column or 1) - 1, 0), len(data))
    cut = "is cut off" if at >= len(data.rstrip()) - 1 else "is not well-formed XML"
    return SourceFileError(
        f"{name} {cut} at byte {at} of {len(data)} (line {line}): {error.msg}",
        hint="Copy the file again from the microscope's export.",
    )
