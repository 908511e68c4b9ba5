"""What Harmony's ``<Map><Entry …>`` elements say of many images at once.

Later indexes tell the facts of a channel there, once, and those of archives (``Index.ref.xml``) the place of a field,
the height of a plane and the offset of a time point as well: an entry is about all images that have the numbers in its
attributes, and one without any about all there are. What an image says itself counts more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: Numbers that an entry may name, in the order in which keys are built.
_NUMBERS = ("FieldID", "PlaneID", "TimepointID", "ChannelID")
#: What entries may say of images, beside the facts of channels.
_SHARED = ("PositionX", "PositionY", "PositionZ", "MeasurementTimeOffset", "AbsTime")

#: The names of the numbers, and their values.
_Key = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(slots=True)
class Entries:
    """Collects entries, then gives channels and images what they lack.

    Attributes
    ----------
    channels
        ``ChannelID`` -> facts, of entries that name a channel and nothing else.
    flatfields
        ``ChannelID`` -> the text of its profile.
    conflicts
        ``(ChannelID, tag)`` -> the first text of a fact that entries tell differently, and another.
    """

    channel_tags: frozenset[str]
    channels: dict[str, dict[str, str]] = field(default_factory=dict)
    flatfields: dict[str, str] = field(default_factory=dict)
    conflicts: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    _common: dict[str, str] = field(default_factory=dict)
    _shared: dict[str, dict[_Key, str]] = field(default_factory=dict)

    def add(self, attributes: Mapping[str, str], facts: Mapping[str, str]) -> None:
        """Take one entry: its attributes, and the text of its children by local name."""
        names = tuple(name for name in _NUMBERS if name in attributes)
        values = tuple(attributes[name].strip() for name in names)
        known = {tag: text for tag, text in facts.items() if tag in self.channel_tags}
        if names == ("ChannelID",):
            facts_of = self.channels.setdefault(values[0], {})
            for tag, text in known.items():
                if facts_of.setdefault(tag, text) != text:
                    self.conflicts.setdefault((values[0], tag), (facts_of[tag], text))
            if "FlatfieldProfile" in facts:
                self.flatfields.setdefault(values[0], facts["FlatfieldProfile"])
        elif not names:
            self._common.update(known)
        for tag in _SHARED:
            if tag in facts:
                self._shared.setdefault(tag, {}).setdefault((names, values), facts[tag])

    def complete_channels(self, channels: Iterable[str]) -> None:
        """Give every channel the facts that are said of all."""
        for channel in {*channels, *self.channels} if self._common else ():
            facts = self.channels.setdefault(channel, {})
            for tag, text in self._common.items():
                facts.setdefault(tag, text)

    def complete_images(self, images: Mapping[str, list[str | None]]) -> None:
        """Fill what images leave out, column by column; the entry that names most numbers counts."""
        for tag, told in self._shared.items():
            column = images[tag]
            if None not in column:
                continue
            for names in sorted({names for names, _ in told}, key=len, reverse=True):
                keys = zip(*(images[name] for name in names), strict=True) if names else iter([()] * len(column))
                for position, key in enumerate(keys):
                    if column[position] is None:
                        column[position] = told.get((names, key))
