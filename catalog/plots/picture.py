"""A picture as bytes that a notebook shows as a picture."""

from __future__ import annotations

from typing import Literal


class Picture(bytes):
    """The bytes of a picture, SVG or PNG: to be written to a file, or shown by Jupyter where a cell ends with it."""

    @property
    def format(self) -> Literal["png", "svg"]:
        """What the bytes are."""
        return "png" if self.startswith(b"\x89PNG") else "svg"

    # Jupyter asks for these; None says that it is not of that kind.
    def _repr_png_(self) -> bytes | None:
        return bytes(self) if self.format == "png" else None

    def _repr_svg_(self) -> str | None:
        return self.decode() if self.format == "svg" else None

    def __repr__(self) -> str:
        return f"<{self.format.upper()} picture, {len(self):,} bytes>"
