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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from ..errors import UsageError
from .export import ChannelInfo, PlateExport

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(alternatives)})(?![a-z])", re.IGNORECASE)


#: Names that say what they stain, first match counts. Names of structures (``Mito``) are here as well as stains.
_BY_NAME: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Mito", _words(r"mito-?tracker\w*", "mito(?:chondri(?:a|on|al))?", r"tmr[em]", r"tomm?-?20")),
    ("ER", _words("er", "endoplasmic(?: reticulum)?", r"concanavalin(?:[ -]?a)?", "con ?a", r"er-?tracker\w*", "calnexin")),
    ("RNA", _words("rna", r"syto ?-?14", r"syto rna\w*", "nucleoli")),
    ("AGP", _words("agp")),
    ("Golgi", _words("golgi", r"gm130", r"giantin")),
    ("Lysosome", _words(r"lyso-?tracker\w*", r"lysosomes?", r"lamp-?1")),
    ("Tubulin", _words(r"(?:alpha|beta|α|β)?[- ]?tubulin", "microtubules?")),
    ("Actin", _words(r"phalloidin", r"f?-?actin", r"lifeact\w*", r"sir-?actin")),
    ("DNA", _words(r"hoechst", r"h ?-?33342", r"dapi", r"draq ?-?5", r"nucblue", "dna", "nucle(?:us|i|ar)")),
    ("Brightfield", _words(r"bright[ -]?field", "bf", "transmitted(?: light)?")),
)  # fmt: skip

#: Contrast that says it all, whatever the name.
_BY_CONTRAST = {"brightfield": "Brightfield", "phase": "Phase", "digital_phase": "Phase", "dic": "Brightfield"}


@dataclass(frozen=True, slots=True)
class _Slot:
    """One stain of Cell Painting: what it is called when it is named, and where it is excited and read (nm)."""

    role: str
    name: re.Pattern[str]
    excitation: tuple[float, float]
    emission: tuple[float, float]


_CELL_PAINTING = (
    _Slot("RNA", _words(r"488 ?long", r"(?:alexa ?)?488[ -]?em ?6\d\d", r"syto ?-?14", "rna"), (450, 545), (560, 760)),
    _Slot("ER", _words(r"(?:alexa(?: fluor)? ?)?488", "concanavalin(?:[ -]?a)?", "con ?a", "er"), (450, 505), (500, 559)),
    _Slot("AGP", _words(r"(?:alexa(?: fluor)? ?)?56[18]", "phalloidin", "wga", "agp", "actin"), (546, 600), (570, 650)),
    _Slot("Mito", _words(r"(?:alexa(?: fluor)? ?)?64[07]", r"mito-?tracker\w*", "mito"), (610, 680), (650, 800)),
)  # fmt: skip


def guess_role(
    name: str, excitation_nm: float | None, emission_nm: float | None, contrast_method: str | None
) -> str | None:
    """The role of one channel by itself.

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
    if found == "DNA" and not _blue_or_far_red(name, excitation_nm, emission_nm):
        return None
    return found


def _blue_or_far_red(name: str, excitation_nm: float | None, emission_nm: float | None) -> bool:
    """Whether the wavelengths are those of the DNA stain that the name says: DAPI read at 600 nm is another thing."""
    if re.search(r"hoechst|h ?-?33342|dapi|nucblue", name, re.IGNORECASE):
        return (excitation_nm is None or excitation_nm < 430) and (emission_nm is None or emission_nm < 520)
    return True


def _fits(slot: _Slot, channel: ChannelInfo) -> bool:
    ex, em = channel.excitation_nm, channel.emission_nm
    if ex is not None and em is not None:
        return slot.excitation[0] <= ex <= slot.excitation[1] and slot.emission[0] <= em <= slot.emission[1]
    return slot.name.search(channel.name) is not None


def _cell_painting(channels: Sequence[ChannelInfo]) -> dict[int, str] | None:
    """Channel index -> role when the fluorescent channels are Cell Painting's, each stain found exactly once."""
    fluorescent = [c for c in channels if guess_role(c.name, None, None, c.contrast_method) not in _BY_CONTRAST.values()]
    dna = [c for c in fluorescent if guess_role(c.name, c.excitation_nm, c.emission_nm, c.contrast_method) == "DNA"]
    if len(dna) != 1:
        return None
    left = [c for c in fluorescent if c is not dna[0]]
    roles = {dna[0].channel_index: "DNA"}
    for slot in _CELL_PAINTING:
        fitting = [c for c in left if _fits(slot, c)]
        if len(fitting) != 1:
            return None
        roles[fitting[0].channel_index] = slot.role
        left.remove(fitting[0])
    return roles


def guess_roles(channels: Sequence[ChannelInfo]) -> tuple[tuple[ChannelInfo, ...], tuple[str, ...]]:
    """Give the channels of one acquisition their roles.

    Returns
    -------
    channels, warnings
        The same channels with ``role`` set where it is sure. A role is given to one channel only; where two channels
        claim it, neither gets it. The warnings say what was inferred and what is left to name.
    """
    roles = _cell_painting(channels) or {}
    painted = dict(roles)
    warnings: list[str] = []
    for channel in channels:
        if channel.channel_index not in roles:
            role = guess_role(channel.name, channel.excitation_nm, channel.emission_nm, channel.contrast_method)
            if role is not None:
                roles[channel.channel_index] = role
    claims: dict[str, list[ChannelInfo]] = {}
    for channel in channels:
        if channel.channel_index in roles:
            claims.setdefault(roles[channel.channel_index], []).append(channel)
    for role, claimants in claims.items():
        losers = [c for c in claimants if c.channel_index not in painted] if len(claimants) > 1 else []
        for channel in losers:
            del roles[channel.channel_index]
    if painted:
        generic = [
            f"{c.name} = {painted[c.channel_index]}"
            for c in channels
            if c.channel_index in painted
            and guess_role(c.name, c.excitation_nm, c.emission_nm, c.contrast_method) != painted[c.channel_index]
        ]
        if generic:
            warnings.append(f"the channels are those of Cell Painting: {', '.join(generic)} (--role overrules)")
    unnamed = [c for c in channels if c.channel_index not in roles]
    warnings += [
        f"channel {c.name!r} (id {c.vendor_id}) has no role: its name does not say what it stains; "
        f"name it with --role '{_handle(c, channels)}=ROLE'"
        for c in unnamed
    ]
    return tuple(replace(c, role=roles.get(c.channel_index)) for c in channels), tuple(warnings)


def _handle(channel: ChannelInfo, channels: Sequence[ChannelInfo]) -> str:
    """What a person calls the channel in ``--role``: its name, or its id where two share the name."""
    shared = sum(c.name == channel.name for c in channels) > 1
    return channel.vendor_id if shared or "=" in channel.name else channel.name


def apply_roles(export: PlateExport, roles: Mapping[str, str]) -> PlateExport:
    """Overrule the roles of an export.

    Parameters
    ----------
    export
        The export; it is not changed.
    roles
        Channel -> role. A channel is named as the microscope names it (capitals do not matter), or by the vendor's
        id. The role applies in every acquisition that has the channel; a channel that had the role by guess loses it.

    Raises
    ------
    UsageError
        For an unknown channel, a name that two channels share, a role given twice, or a role that is no name.
    """
    chosen: dict[tuple[int, int], str] = {}
    for wanted, role in roles.items():
        if not _ROLE.match(role):
            raise UsageError(
                f"role {role!r} for channel {wanted!r}: a role is letters and digits, a letter first",
                hint="such as DNA, ER, RNA, AGP, Mito, Actin, Brightfield, or a name of your own",
            )
        for acquisition in export.acquisitions:
            own = [c for c in export.channels if c.acquisition_id == acquisition.acquisition_id]
            for channel in _find(wanted, own):
                chosen[channel.acquisition_id, channel.channel_index] = role
        if not any(_find(wanted, [c]) for c in export.channels):
            raise _unknown_channel(wanted, export)
    for acquisition in export.acquisitions:
        given = [r for (a, _), r in chosen.items() if a == acquisition.acquisition_id]
        twice = sorted({r for r in given if given.count(r) > 1})
        if twice:
            raise UsageError(f"role {twice[0]!r} is given to two channels; a role names one channel of a plate")
    taken = {(a, role) for (a, _), role in chosen.items()}
    channels = tuple(
        replace(c, role=chosen[key])
        if (key := (c.acquisition_id, c.channel_index)) in chosen
        else replace(c, role=None)
        if (c.acquisition_id, c.role) in taken
        else c
        for c in export.channels
    )
    return replace(export, channels=channels, warnings=_still_true(export, channels))


def _find(wanted: str, channels: Sequence[ChannelInfo]) -> list[ChannelInfo]:
    found = [c for c in channels if c.name == wanted] or [
        c for c in channels if c.name.casefold() == wanted.strip().casefold()
    ]
    if len(found) > 1:
        ids = ", ".join(c.vendor_id for c in found)
        raise UsageError(f"two channels are called {wanted!r}", hint=f"name one by its id ({ids}), as in {ids[0]}=DNA")
    return found or [c for c in channels if c.vendor_id == wanted.strip()]


def _unknown_channel(wanted: str, export: PlateExport) -> UsageError:
    names = list(dict.fromkeys(c.name for c in export.channels))
    lower = {name.casefold(): name for name in names}
    near = get_close_matches(wanted.casefold(), lower, n=1, cutoff=0.6)
    listed = ", ".join(f"{c.name!r} (id {c.vendor_id})" for c in export.channels)
    guess = f"did you mean {lower[near[0]]!r}? " if near else ""
    return UsageError(f"plate {export.plate_id} has no channel {wanted!r}", hint=f"{guess}its channels are {listed}")


def _still_true(export: PlateExport, channels: Sequence[ChannelInfo]) -> tuple[str, ...]:
    """Warnings that ask for a role, without those that were answered."""
    named = {f"channel {c.name!r} (id {c.vendor_id}) has no role" for c in channels if c.role is not None}
    return tuple(w for w in export.warnings if not any(w.startswith(n) for n in named))
