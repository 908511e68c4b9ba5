"""The size of a pixel: what a user says stands above what files say, and is told where the two differ."""

from __future__ import annotations

#: Sizes that differ by less are one, rounded.
_SAME = 0.01
#: What the warning begins with.
OVERRULES = "--pixel-size "


def overruled(given_um: float, told_um: tuple[float | None, float | None] | None, where: str) -> str | None:
    """Return the warning that a size which was given is not what the files say; None where they say it, or nothing.

    Parameters
    ----------
    given_um
        By ``--pixel-size``.
    told_um
        By the files, along x and y; None, or 0, where they do not say.
    where
        Which files, or what in them.
    """
    told = [side for side in told_um or () if side]
    if not any(abs(side - given_um) > _SAME * given_um for side in told):
        return None
    sides = " × ".join(f"{side:g}" for side in told)
    return f"{OVERRULES}{given_um:g} µm overrules the {sides} µm of {where}"
