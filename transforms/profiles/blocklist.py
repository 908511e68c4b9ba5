"""Features that are known to be unreliable, and lists of them in files."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import permutations
from pathlib import Path

from ..parameters import BadParameterError, full_path

_CHANNELS = ("AGP", "DNA", "ER", "Mito", "RNA")

#: The list that pycytominer ships as its default: Manders' and rank-weighted colocalisation between channels, and
#: granularity at the three largest scales, all in nuclei. Way, "Blacklist Features - Cell Profiler", figshare (2019),
#: https://doi.org/10.6084/m9.figshare.10255811
PUBLISHED: tuple[str, ...] = (
    *(
        f"Nuclei_Correlation_{measure}_{one}_{other}"
        for measure in ("Manders", "RWC")
        for one, other in permutations(_CHANNELS, 2)
    ),
    *(f"Nuclei_Granularity_{scale}_{channel}" for scale in (14, 15, 16) for channel in _CHANNELS),
)
#: The same for channels of any name.
PUBLISHED_PATTERNS: tuple[str, ...] = (
    "Nuclei_Correlation_Manders_*",
    "Nuclei_Correlation_RWC_*",
    "Nuclei_Granularity_14_*",
    "Nuclei_Granularity_15_*",
    "Nuclei_Granularity_16_*",
)


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[int]:
    """Give the positions of the names that a list holds, or that one of its patterns (``*``, ``?``) covers."""
    exact = {one for one in patterns if not set(one) & set("*?[")}
    others = [one for one in patterns if one not in exact]
    return [k for k, name in enumerate(names) if name in exact or any(fnmatchcase(name, one) for one in others)]


def read_blocklist(file: str, folder: Path) -> tuple[str, ...]:
    """Read names of features, one a line: text, pycytominer's CSV with the header ``blocklist``, or a list in YAML.

    Raises
    ------
    BadParameterError
        The file cannot be read, or names no feature.
    """
    path = full_path("blocklist", file, folder)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadParameterError(
            "blocklist", f"{path} cannot be read: {error}", "a text file, one feature a line"
        ) from error
    words = [line.partition("#")[0].strip().removeprefix("- ").strip(" \"'") for line in lines]
    names = tuple(dict.fromkeys(word for word in words if word and word != "blocklist" and not word.endswith(":")))
    if not names:
        raise BadParameterError("blocklist", f"{path} names no feature", "one feature a line")
    return names
