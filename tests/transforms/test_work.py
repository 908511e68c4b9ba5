"""What a run tells of what is missing."""

from __future__ import annotations

from cytolake.transforms.parts import BatchNote
from cytolake.transforms.work import PlateWork, warnings_of


def work() -> PlateWork:
    return PlateWork(plate={"plate_id": "p"}, bound={}, channels={}, fields=[], without_image=[])


def note(*skipped: tuple[str, int, str, str], **rows: int) -> BatchNote:
    return BatchNote(number=0, rows=rows, skipped=skipped, failed=[], seconds={}, peak_memory_mb=0)


def test_a_plate_on_which_nothing_is_found_is_no_success_in_silence() -> None:
    (warning,) = warnings_of(work(), [note(nuclei=0, _tracks=0), note(nuclei=0)])
    assert "not one of the nuclei was found" in warning
    assert warnings_of(work(), [note(nuclei=0), note(nuclei=1)]) == []


def test_a_plate_of_unfit_masks_has_one_warning_that_names_all_the_sets_that_lack() -> None:
    notes = [
        note(
            ("A01", field, "nuclei", f"/masks of p/A01_{field}.tif: has shape 2 × 2, the image 4 × 4"),
            ("A01", field, "cells", f"made from nuclei: /masks of p/A01_{field}.tif: has shape 2 × 2, the image 4 × 4"),
        )
        for field in (1, 2, 3)
    ]
    assert warnings_of(work(), notes) == [
        "plate p: no nuclei (and so no cells) in 3 field(s), first well A01 field 1: /masks of p/A01_1.tif: has shape "
        "2 × 2, the image 4 × 4"
    ]


def test_other_reasons_and_other_sets_have_warnings_of_their_own() -> None:
    notes = [
        note(
            ("A01", 1, "nuclei", "there is no mask /masks/A01_1.tif"),
            ("A02", 1, "nuclei", "/masks/A02_1.tif: its pixels are float32, labels are whole numbers"),
            ("A03", 1, "cells", "there is no mask /masks/A03_1.tif"),
            ("A04", 1, "nuclei", "there is no mask /masks/A04_1.tif"),
        )
    ]
    assert warnings_of(work(), notes) == [
        "plate p: no nuclei in 2 field(s), first well A01 field 1: there is no mask /masks/A01_1.tif",
        "plate p: no nuclei in 1 field(s), first well A02 field 1: /masks/A02_1.tif: its pixels are float32, labels are"
        " whole numbers",
        "plate p: no cells in 1 field(s), first well A03 field 1: there is no mask /masks/A03_1.tif",
    ]
