"""The XML of a LIF: its images by name, how their pixels lie, and what the microscope says of them.

A LIF is a tree of elements; an image's name is its way through it (``TileScan 1/A/1/R1``). An axis has a number (1 x,
2 y, 3 z, 4 t, 10 tiles of a mosaic; others are wavelengths, rotations, repetitions) and a distance in bytes, so that
axes come in any order. Lengths are metres from the first to the last element.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from ...errors import InvalidDataError
from ..units import to_um
from .xml_tree import index_in, number_in, parse_tree

_ROOTS = ("LMSDataContainerHeader",)
X, Y, Z, T, TILE = 1, 2, 3, 4, 10
_AXES = {
    1: "x", 2: "y", 3: "z", 4: "t", 5: "emission wavelength", 6: "rotation", 7: "xt slices", 8: "t slices",
    9: "excitation wavelength", 10: "tile", 11: "loop",
}  # fmt: skip
_LARGEST = 2**62
_DEEPEST = 200
_MOST_PLANES = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LifAxis:
    """One axis: how many elements, how many bytes from one to the next, and where they lie, None where not told."""

    number: int
    count: int
    step_bytes: int
    origin: float | None
    length: float | None
    unit: str

    @property
    def step(self) -> float | None:
        """Distance of neighbours in the unit, with its sign; None for one element."""
        return self.length / (self.count - 1) if self.count > 1 and self.length else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifChannel:
    """One channel; ``properties`` are its own words, ``info`` the widefield channel of the same number."""

    bits: int
    is_float: bool
    offset_bytes: int
    color_tag: int
    lut: str
    properties: dict[str, str]
    info: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LifImage:
    """One image. ``stamps`` are Windows file times, ``tiles`` and ``stage`` metres; ``setting`` is the hardware's."""

    path: tuple[str, ...]
    block: str
    axes: tuple[LifAxis, ...]
    channels: tuple[LifChannel, ...]
    stamps: tuple[int, ...]
    tiles: tuple[tuple[float, float], ...]
    tile_facts: dict[str, str]
    setting: dict[str, str]
    software: str | None
    system: str | None
    source: str | None

    @property
    def name(self) -> str:
        """The way to the image."""
        return "/".join(self.path)

    def count(self, number: int) -> int:
        """Return how many elements an axis has, 1 without it."""
        axis = self.axis(number)
        return 1 if axis is None else axis.count

    def axis(self, number: int) -> LifAxis | None:
        """Return an axis by its number."""
        return next((axis for axis in self.axes if axis.number == number), None)

    @property
    def item_bytes(self) -> int:
        """Bytes of a pixel."""
        return 1 if self.channels[0].bits <= 8 else 2

    @property
    def n_planes(self) -> int:
        """Planes, in the order tile, time point, channel, z."""
        return self.count(TILE) * self.count(T) * len(self.channels) * self.count(Z)

    def flaw(self) -> str | None:
        """Say why the image is no set of planes with x and y; None where it is one."""
        if not self.channels:
            return "it has no channel"
        odd = [a for a in self.axes if a.number not in (X, Y, Z, T, TILE) and a.count > 1]
        if odd:
            kinds = ", ".join(f"{_AXES.get(a.number, f'axis {a.number}')} ({a.count})" for a in odd)
            return f"it is a scan over {kinds}"
        x, y = self.axis(X), self.axis(Y)
        if x is None or y is None:
            order = "".join(_AXES.get(a.number, "?")[0] for a in self.axes)
            return f"its axes are {order}: its planes are not x and y"
        if any(c.is_float or not 1 <= c.bits <= 16 or (c.bits <= 8) != (self.item_bytes == 1) for c in self.channels):
            kinds = ", ".join(dict.fromkeys(f"{c.bits}-bit{' float' if c.is_float else ''}" for c in self.channels))
            return f"its pixels are {kinds}; planes have 8 or 16 bits"
        if {c.color_tag for c in self.channels} >= {1, 2, 3} and x.step_bytes != self.item_bytes:
            return "it is an image in colour"
        if x.step_bytes != self.item_bytes and x.count > 1:
            return f"its neighbours along x are {x.step_bytes} bytes apart, so its planes are not rows of x"
        if y.count > 1 and y.step_bytes < x.count * self.item_bytes:
            return "its rows lie within one another"
        if self.n_planes > _MOST_PLANES:
            return f"it has {self.n_planes} planes"
        return None

    def place(self, tile: int, timepoint: int, channel: int, z: int) -> int:
        """Return where a plane begins in the image's bytes."""
        offset = self.channels[channel].offset_bytes
        for number, index in ((TILE, tile), (T, timepoint), (Z, z)):
            axis = self.axis(number)
            offset += index * axis.step_bytes if axis is not None else 0
        return offset

    @property
    def needed_bytes(self) -> int:
        """Return the end of the last plane in the image's bytes; no fewer than its pixels have."""
        far = sum((a.count - 1) * a.step_bytes for a in self.axes)
        spread = far + max(channel.offset_bytes for channel in self.channels) + self.item_bytes
        return max(spread, self.n_planes * self.count(X) * self.count(Y) * self.item_bytes)

    def step_um(self, number: int) -> float | None:
        """Return the distance of neighbours along an axis, µm, without its sign; None where it is not told."""
        axis = self.axis(number)
        scale = to_um(axis.unit) if axis is not None else None
        if axis is None or axis.step is None or scale is None:
            return None
        return abs(axis.step) * scale

    def height_um(self, z: int) -> float | None:
        """Return the height of a plane of a stack, µm; None where its place or the step is not told."""
        axis = self.axis(Z)
        scale = to_um(axis.unit) if axis is not None else None
        if axis is None or axis.origin is None or scale is None or (z and axis.step is None):
            return None
        return (axis.origin + z * (axis.step or 0.0)) * scale


@dataclass(frozen=True, slots=True, kw_only=True)
class LifDocument:
    """What a LIF says: its version, which is that of its blocks, and its images."""

    version: int
    images: tuple[LifImage, ...]


def parse_document(text: str, name: str) -> LifDocument:
    """Read the XML of a file.

    Raises
    ------
    SourceFileError
        It is not well-formed.
    InvalidDataError
        It is another document, or a number in it is none.
    """
    root = parse_tree(text, f"{name}: its XML")
    if root.tag not in _ROOTS:
        raise InvalidDataError(f"{name}: its XML is <{root.tag}>, not <{_ROOTS[0]}>")
    version = index_in(root.get("Version"), most=100)
    if version not in (1, 2):
        raise InvalidDataError(f"{name} is a LIF of version {root.get('Version')}; 1 and 2 are read")
    images = tuple(_image(element, path, name) for element, path in _images(root))
    return LifDocument(version=version, images=images)


def _images(root: etree._Element) -> Iterator[tuple[etree._Element, tuple[str, ...]]]:
    """Give the elements that are images, in document order, with their way from the file's own element."""
    waiting: list[tuple[etree._Element, tuple[str, ...]]] = [(e, ()) for e in reversed(root.findall("Element"))]
    while waiting:
        element, path = waiting.pop()
        if element.find("Data/Image") is not None:
            # An image may be the file's only element.
            yield element, path or (element.get("Name") or "",)
        if len(path) < _DEEPEST:
            below = element.findall("Children/Element")
            waiting += [(child, (*path, child.get("Name") or "")) for child in reversed(below)]


def _image(element: etree._Element, path: tuple[str, ...], name: str) -> LifImage:
    where = f"{name}: image {'/'.join(path)!r}"
    image = element.find("Data/Image")
    assert image is not None
    memory = element.find("Memory")
    axes = [_axis(told, where) for told in image.iterfind("ImageDescription/Dimensions/DimensionDescription")]
    if len({axis.number for axis in axes}) != len(axes):
        raise InvalidDataError(f"{where} has an axis twice")
    hardware = image.find("Attachment[@Name='HardwareSetting']")
    setting = next((e for e in (hardware if hardware is not None else ()) if str(e.tag).startswith("ATL")), None)
    infos = [_texts(e) for e in setting.iterfind(".//WideFieldChannelInfo")] if setting is not None else []
    described = image.findall("ImageDescription/Channels/ChannelDescription")
    infos = infos if len(infos) == len(described) else [{} for _ in described]
    scan = image.find("Attachment[@Name='TileScanInfo']")
    tiles = [
        (number_in(tile.get("PosX"), most=10), number_in(tile.get("PosY"), most=10))
        for tile in (scan.iterfind("Tile") if scan is not None else ())
    ]
    return LifImage(
        path=path,
        block=(memory.get("MemoryBlockID") or "") if memory is not None else "",
        axes=tuple(sorted(axes, key=lambda axis: axis.step_bytes)),
        channels=tuple(_channel(told, info, where) for told, info in zip(described, infos, strict=True)),
        stamps=_stamps(image.find("TimeStampList")),
        tiles=tuple((x, y) for x, y in tiles if x is not None and y is not None),
        tile_facts=_texts(scan) if scan is not None else {},
        setting=_texts(setting) if setting is not None else {},
        software=hardware.get("Software") if hardware is not None else None,
        system=hardware.get("SystemTypeName") if hardware is not None else None,
        source=hardware.get("DataSourceTypeName") if hardware is not None else None,
    )


def _texts(element: etree._Element) -> dict[str, str]:
    return {str(key): str(value) for key, value in element.attrib.items()}


def _axis(told: etree._Element, where: str) -> LifAxis:
    number, count, step = (index_in(told.get(key), most=_LARGEST) for key in ("DimID", "NumberOfElements", "BytesInc"))
    if number is None or not count or step is None:
        raise InvalidDataError(
            f"{where} has an axis {told.get('DimID')!r} of {told.get('NumberOfElements')!r} elements"
        )
    return LifAxis(
        number=number,
        count=count,
        step_bytes=step,
        origin=number_in(told.get("Origin")),
        length=number_in(told.get("Length")),
        unit=(told.get("Unit") or "").strip(),
    )


def _channel(told: etree._Element, info: dict[str, str], where: str) -> LifChannel:
    bits, offset = index_in(told.get("Resolution"), most=64), index_in(told.get("BytesInc"), most=_LARGEST)
    if not bits or offset is None:
        raise InvalidDataError(f"{where} has a channel of {told.get('Resolution')!r} bits")
    properties: dict[str, str] = {}
    for one in told.iterfind("ChannelProperty"):
        key, value = (one.findtext("Key") or "").strip(), (one.findtext("Value") or "").strip()
        if key and value:
            properties.setdefault(key, value)
    return LifChannel(
        bits=bits,
        is_float=told.get("DataType") == "1",
        offset_bytes=offset,
        color_tag=index_in(told.get("ChannelTag"), most=100) or 0,
        lut=told.get("LUTName") or "",
        properties=properties,
        info=info,
    )


def _stamps(told: etree._Element | None) -> tuple[int, ...]:
    """Return the time stamps as whole numbers: a list of hexadecimals, or pairs of halves as older versions write."""
    if told is None:
        return ()
    try:
        halves = [(int(e.get("HighInteger") or ""), int(e.get("LowInteger") or "")) for e in told.iterfind("TimeStamp")]
        stamps = [(high << 32) + low for high, low in halves] or [int(text, 16) for text in (told.text or "").split()]
    except ValueError:
        return ()
    return tuple(stamp for stamp in stamps if 0 <= stamp < _LARGEST) if max(stamps, default=0) < _LARGEST else ()


def stored_order(image: LifImage) -> tuple[int, ...]:
    """Return the axes T, Z, tile and 0 for channels from the outermost in, as the bytes lie."""
    steps = {axis.number: axis.step_bytes for axis in image.axes if axis.number in (T, Z, TILE) and axis.count > 1}
    offsets = sorted(channel.offset_bytes for channel in image.channels)
    if len(offsets) > 1:
        steps[0] = offsets[1] - offsets[0]
    return tuple(sorted(steps, key=lambda axis: -steps[axis]))
