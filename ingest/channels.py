"""What a channel shows: from the words and wavelengths of a microscope to a role that two studies share.

One table of rules, two kinds of evidence. A name that says the stain or the structure (``HOECHST 33342``,
``MitoTracker``) is enough alone. A generic dye (``Alexa 488``, ``FITC``) is not: it labels whatever antibody it was
bound to, and a wrong role would put two different structures into one feature column. Such names get a role only
where the whole set of channels is Cell Painting's (Bray et al. 2016, doi:10.1038/nprot.2016.105; JUMP, Chandrasekaran
et al. 2023, doi:10.1101/2023.03.23.534023), whose fingerprint is one blue laser line read in two emission bands.
A person's word (``--role CHANNEL=ROLE``) stands above both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from ..errors import UsageError
from ..schemas.ontology import enum_values
from ..wording import did_you_mean, nearest
from .export import ChannelInfo, PlateExport

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")
#: How alike a word and a known role are (Ratcliff and Obershelp) when the word is taken for a slip of it.
_SLIP = 0.85


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(alternatives)})(?![a-z])", re.IGNORECASE)


_CONCANAVALIN = r"concanavalin(?:[ -]?a)?|con ?a"

#: Names that say what they stain, first match counts. Names of structures (``Mito``) are here as well as stains.
_BY_NAME: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Mito", _words(r"mito-?tracker\w*", r"mito(?:chondri(?:a|on|al))?", r"tmr[em]", r"tomm?-?20")),
    ("ER", _words("er", r"endoplasmic(?: reticulum)?", _CONCANAVALIN, r"er-?tracker\w*", "calnexin")),
    ("RNA", _words("rna", r"syto ?-?14", r"syto rna\w*")),
    ("Nucleolus", _words(r"nucleol(?:us|i|in)", "fibrillarin")),
    ("AGP", _words("agp")),
    ("Golgi", _words("golgi", "gm130", "giantin")),
    ("Lysosome", _words(r"lyso-?tracker\w*", "lysosomes?", r"lamp-?1")),
    ("Tubulin", _words(r"(?:alpha|beta|α|β)?[- ]?tubulin", "microtubules?")),
    ("Actin", _words("phalloidin", r"f?-?actin", r"lifeact\w*", r"sir-?actin")),
    ("DNA", _words("hoechst", r"h ?-?33342", "dapi", r"draq ?-?5", "nucblue", "dna", r"nucle(?:us|i|ar)")),
    ("Phase", _words(r"(?:digital )?phase(?: contrast)?", "dpc")),
    ("DIC", _words("dic", "differential interference contrast")),
    ("Brightfield", _words(r"bright[ _-]?field", "bf", "transmitted(?: light)?")),
)  # fmt: skip

#: Contrast that says it all, whatever the name.
_BY_CONTRAST = {"brightfield": "Brightfield", "phase": "Phase", "digital_phase": "Phase", "dic": "DIC"}
#: Dyes that bind DNA and nothing else, with the light they need: DAPI read in the red is another thing.
_UV_DYE = re.compile(r"hoechst|h ?-?33342|dapi|nucblue", re.IGNORECASE)
_UV_EXCITATION_BELOW_NM, _BLUE_EMISSION_BELOW_NM = 430, 520


@dataclass(frozen=True, slots=True)
class _Slot:
    """One stain of Cell Painting: what it is called when it is named, and where it is excited and read (nm)."""

    role: str
    name: re.Pattern[str]
    excitation: tuple[float, float]
    emission: tuple[float, float]


_ALEXA = r"(?:alexa(?: fluor)? ?)?"
_CELL_PAINTING = (
    _Slot("RNA", _words(r"488 ?long", rf"{_ALEXA}488[ -]?em ?6\d\d", r"syto ?-?14", "rna"), (450, 545), (560, 760)),
    _Slot("ER", _words(rf"{_ALEXA}488", _CONCANAVALIN, "er"), (450, 505), (500, 559)),
    _Slot("AGP", _words(rf"{_ALEXA}56[18]", "phalloidin", "wga", "agp", "actin"), (546, 600), (570, 650)),
    _Slot("Mito", _words(rf"{_ALEXA}64[07]", r"mito-?tracker\w*", "mito"), (610, 680), (650, 800)),
)


def guess_role(
    name: str, excitation_nm: float | None, emission_nm: float | None, contrast_method: str | None
) -> str | None:
    """Guess the role of one channel by itself.

    Parameters
    ----------
    name
        The microscope's name of the channel.
    excitation_nm, emission_nm
        Main wavelengths, ``None`` where there are none (transmitted light has no emission).
    contrast_method
        ``fluorescence``, ``brightfield``, ``phase``, ``digital_phase``, ``dic``, or ``None`` when unknown.

    Returns
    -------
    str or None
        ``None`` where the name is generic or unknown: a wrong role is worse than none.
    """
    if contrast_method in _BY_CONTRAST:
        return _BY_CONTRAST[contrast_method]
    found = next((role for role, pattern in _BY_NAME if pattern.search(name)), None)
    if found == "DNA" and _UV_DYE.search(name) and not _is_blue(excitation_nm, emission_nm):
        return None
    return found


def _is_blue(excitation_nm: float | None, emission_nm: float | None) -> bool:
    return (excitation_nm is None or excitation_nm < _UV_EXCITATION_BELOW_NM) and (
        emission_nm is None or emission_nm < _BLUE_EMISSION_BELOW_NM
    )


def _own_role(channel: ChannelInfo) -> str | None:
    return guess_role(channel.name, channel.excitation_nm, channel.emission_nm, channel.contrast_method)


def _fits(slot: _Slot, channel: ChannelInfo) -> bool:
    ex, em = channel.excitation_nm, channel.emission_nm
    if ex is not None and em is not None:
        return slot.excitation[0] <= ex <= slot.excitation[1] and slot.emission[0] <= em <= slot.emission[1]
    return slot.name.search(channel.name) is not None


def _cell_painting(channels: Sequence[ChannelInfo]) -> dict[int, str]:
    """Return channel index -> role when the set is Cell Painting's, each of the five stains found exactly once."""
    left = {c.channel_index: c for c in channels if _own_role(c) not in _BY_CONTRAST.values()}
    dna = [i for i, c in left.items() if _own_role(c) == "DNA"]
    if len(dna) != 1:
        return {}
    del left[dna[0]]
    roles = {dna[0]: "DNA"}
    for slot in _CELL_PAINTING:
        fitting = [i for i, c in left.items() if _fits(slot, c)]
        if len(fitting) != 1:
            return {}
        del left[fitting[0]]
        roles[fitting[0]] = slot.role
    return roles


def guess_roles(channels: Sequence[ChannelInfo]) -> tuple[tuple[ChannelInfo, ...], tuple[str, ...]]:
    """Give the channels of one acquisition their roles.

    Returns
    -------
    channels, warnings
        The same channels with ``role`` set where it is sure. A role names one channel only: where two claim it by
        their names, neither gets it. The warnings say what was inferred and what is left to name.
    """
    painted = _cell_painting(channels)
    named = {c.channel_index: role for c in channels if c.channel_index not in painted and (role := _own_role(c))}
    claims = Counter([*painted.values(), *named.values()])
    roles = painted | {index: role for index, role in named.items() if claims[role] == 1}
    warnings: list[str] = []
    inferred = [
        f"{c.name} = {painted[c.channel_index]}"
        for c in channels
        if c.channel_index in painted and _own_role(c) != painted[c.channel_index]
    ]
    if inferred:
        warnings.append(f"the channels are those of Cell Painting: {', '.join(inferred)} (--role overrules)")
    names = Counter(c.name for c in channels)
    for channel in channels:
        if channel.channel_index not in roles:
            shared = named.get(channel.channel_index)
            why = f"several channels claim {shared}" if shared else "its name does not say what it stains"
            warnings.append(f"{_no_role(channel)}: {why}; name it with --role '{_handle(channel, names)}=ROLE'")
    return tuple(replace(c, role=roles.get(c.channel_index)) for c in channels), tuple(warnings)


def _no_role(channel: ChannelInfo) -> str:
    return f"channel {channel.name!r} (id {channel.vendor_id}) has no role"


def _handle(channel: ChannelInfo, names: Mapping[str, int]) -> str:
    """Return what a person calls the channel in ``--role``: its name, or its id where several have the name."""
    return channel.vendor_id if names[channel.name] > 1 or "=" in channel.name else channel.name


def apply_roles(export: PlateExport, roles: Mapping[str, str]) -> PlateExport:
    """Overrule the roles of an export; see :func:`assign_roles`. Who loses a role to another is a warning."""
    channels, lost = assign_roles(export.channels, roles, plate_id=export.plate_id)
    answered = tuple(_no_role(c) for c in channels if c.role is not None)
    warnings = tuple(w for w in export.warnings if not any(text in w for text in answered))
    return replace(export, channels=channels, warnings=(*warnings, *lost))


def assign_roles(
    channels: Sequence[ChannelInfo], roles: Mapping[str, str], *, plate_id: str
) -> tuple[tuple[ChannelInfo, ...], tuple[str, ...]]:
    """Give channels the roles that a person names.

    Parameters
    ----------
    channels
        The channels of a plate, of all acquisitions.
    roles
        Channel -> role. A channel is named as the microscope names it (capitals do not matter), or by the vendor's
        id. The role applies in every acquisition that has the channel; a channel that had the role by guess loses it.
        Capitals of a known role do not matter either: ``dna`` is ``DNA``.
    plate_id
        The plate, for messages.

    Returns
    -------
    channels, warnings
        The channels with their roles, and which of them lost one to another.

    Raises
    ------
    UsageError
        For an unknown channel, a name that two channels share, a role given twice, or a role that is no name or a
        slip of a known one.
    """
    chosen: dict[tuple[int, int], str] = {}
    for wanted, text in roles.items():
        role = check_role(text, wanted)
        found = _find(wanted, channels)
        if not found:
            raise _unknown_channel(wanted, channels, plate_id)
        for channel in found:
            chosen[channel.acquisition_id, channel.channel_index] = role
    given = Counter((acquisition_id, role) for (acquisition_id, _), role in chosen.items())
    for (_, role), times in given.items():
        if times > 1:
            raise UsageError(
                f"role {role!r} is given to two channels; a role names one channel of a plate",
                hint=f"Give the others names of their own, such as {role}2.",
            )

    def role_of(channel: ChannelInfo) -> str | None:
        key = (channel.acquisition_id, channel.channel_index)
        taken = (channel.acquisition_id, channel.role) in given
        return chosen.get(key, None if taken else channel.role)

    named = tuple(replace(c, role=role_of(c)) for c in channels)
    lost = dict.fromkeys(
        f"{before.name} loses {before.role} to {winner.name}"
        for before, after in zip(channels, named, strict=True)
        if before.role is not None and after.role is None
        for winner in named
        if (winner.acquisition_id, winner.role) == (before.acquisition_id, before.role)
    )
    return named, tuple(lost)


def check_role(text: str, channel: str) -> str:
    """Return a role as the schema spells it, or a name of one's own; ``UsageError`` for a slip of a known one."""
    known = enum_values("ChannelRole")
    hint = f"Known roles are {', '.join(known)}; a name of your own is letters and digits, such as Marker1."
    if not _ROLE.match(text):
        raise UsageError(
            f"role {text!r} for channel {channel!r}: a role is letters and digits, a letter first", hint=hint
        )
    role = next((one for one in known if one.casefold() == text.casefold()), None)
    if role is None and _is_slip(text, known):
        raise UsageError(f"role {text!r} for channel {channel!r} is not known{did_you_mean(text, known)}", hint=hint)
    return role or text


def _is_slip(text: str, known: Sequence[str]) -> bool:
    """Tell whether a role is a known one misspelt: one letter off or two swapped.

    A number in it (``DNA2``), and letters before a whole role (``mRNA``), are meant.
    """
    near = nearest(text, known)
    if near is None or not text.isalpha():
        return False
    word, right = text.casefold(), near.casefold()
    if word.endswith(right):
        return False
    return SequenceMatcher(None, word, right).ratio() >= _SLIP or sorted(word) == sorted(right)


def _find(wanted: str, channels: Sequence[ChannelInfo]) -> list[ChannelInfo]:
    """Return the channel of that name or id in each acquisition that has it."""
    folded = wanted.strip().casefold()
    found = (
        [c for c in channels if c.name == wanted]
        or [c for c in channels if c.name.casefold() == folded]
        or [c for c in channels if c.vendor_id == wanted.strip()]
    )
    for acquisition_id, times in Counter(c.acquisition_id for c in found).items():
        if times > 1:
            ids = [c.vendor_id for c in found if c.acquisition_id == acquisition_id]
            raise UsageError(
                f"{times} channels are called {wanted!r}, with the ids {', '.join(ids)}",
                hint=f"Name one by its id, as in --role {ids[0]}=DNA.",
            )
    return found


def _unknown_channel(wanted: str, channels: Sequence[ChannelInfo], plate_id: str) -> UsageError:
    names = dict.fromkeys(c.name for c in channels)
    listed = ", ".join(dict.fromkeys(f"{c.name!r} (id {c.vendor_id})" for c in channels))
    return UsageError(
        f"plate {plate_id} has no channel {wanted!r}{did_you_mean(wanted, names)}",
        hint=f"Its channels are {listed}.",
    )
