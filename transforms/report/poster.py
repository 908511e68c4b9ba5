"""The report of a plate as a picture: its verdict in words, and the plate coloured by count, focus, and intensity."""

from __future__ import annotations

import io

from ...store.images.picture import caption_font, plain_text, plate_picture, to_png
from .drawings import colour_range
from .judgement import effect_sentences
from .page import Findings, verdict

_COLUMNS = 2
_WIDE = 120  # letters of a line
_MOST_LINES = 24


def poster(findings: Findings) -> bytes:
    """Draw a plate as PNG."""
    from PIL import Image, ImageDraw

    plate = findings.plate
    suspicious = {flag.well_id for flag in plate.flags}
    wells = {well: len(fields) for well, fields in plate.fields_of_wells.items()}
    maps = []
    for one in plate.of("Count", "PowerLogLogSlope", "MeanIntensity"):
        values = one.wells()
        low, high = colour_range(values, suspicious)
        within = {well: min(max(value, low), high) for well, value in values.items()}
        png = plate_picture(plate.n_rows, plate.n_columns, fields=wells, values=within, title=one.title)
        maps.append(Image.open(io.BytesIO(png)))
    lines = [f"{plate.study_id} / {plate.plate_id}: {verdict(findings)}"]
    for text in (
        *(problem.sentence for problem in findings.problems),
        *findings.notes,
        *effect_sentences(findings.effects),
    ):
        lines += _wrapped(text)
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES} lines more in the HTML report"]
    font, head = caption_font(13), caption_font(18)
    cell_wide = max((image.width for image in maps), default=600)
    cell_tall = max((image.height for image in maps), default=0)
    top = 44 + 18 * len(lines)
    wide = max(_COLUMNS * cell_wide, 900)
    picture = Image.new("RGB", (wide, top + cell_tall * -(-len(maps) // _COLUMNS)), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        at = (12, 12) if number == 0 else (12, 24 + 18 * number)
        draw.text(at, plain_text(line), fill=(32, 36, 44), font=head if number == 0 else font)
    for number, image in enumerate(maps):
        down, along = divmod(number, _COLUMNS)
        picture.paste(image, (along * cell_wide, top + down * cell_tall))
    return to_png(picture)


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _WIDE, initial_indent="- ", subsequent_indent="  ")
