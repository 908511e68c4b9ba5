"""Names of features in other tools, and ours: ``Cells_AreaShape_Area``, ``Nuclei_Intensity_MeanIntensity_DNA``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureName:
    """A column of a table that was made elsewhere, in our words.

    Attributes
    ----------
    name
        Our name of it; None where it stays under its own.
    family, operator
        As in ``feature_dictionary``: ``AreaShape``, ``Area``.
    channel_role, second_channel_role
        Roles of the channels that are measured.
    scale
        Scale of the operator, in pixels.
    unit
        UCUM.
    definition, source
        What it is, and where that is written.
    aliases
        What other tools call it, as ``tool:name``.
    """

    name: str | None
    family: str
    operator: str
    channel_role: str | None = None
    second_channel_role: str | None = None
    scale: float | None = None
    unit: str | None = None
    definition: str | None = None
    source: str | None = None
    aliases: tuple[str, ...] = ()
