"""The report of a plate with planted defects names each of them, where it is, and nothing else."""

from __future__ import annotations

import base64
import io
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cytolake
import pyarrow as pa
import pytest
from cytolake.demo.scene import Defect
from cytolake.demo.synthetic import CONTROL, DNA, ER, Phenotype, PlateSpec, make_export
from cytolake.errors import NotFoundError, UsageError
from cytolake.lake import Lake
from cytolake.transforms.report.data import Flag, PlateQuality, Series
from cytolake.transforms.report.judgement import effects, problems, separations
from cytolake.transforms.report.page import Findings, plate_section

TREATED = Phenotype(compound="inertin", concentration_um=1.0, control_type="treatment")
TOXIC = Phenotype(compound="toxin", concentration_um=1.0, control_type="positive", count=0.4)
#: The plate map says that cells are there.
LOST = Phenotype(compound="inertin", concentration_um=1.0, control_type="treatment", count=0.0)
BLANK = Phenotype(compound=None, control_type="empty")


def plate(name: str, defects: dict[tuple[str, int], Defect], wells: dict[str, Phenotype]) -> PlateSpec:
    laid_out = {
        f"{row}{column:02}": CONTROL if column == 1 else TOXIC if column == 4 else TREATED
        for row in "ABCD"
        for column in range(1, 5)
    }
    return PlateSpec(
        plate_id=name,
        wells=laid_out | wells,
        stains=(DNA, ER.named("Concanavalin A")),
        n_rows=4,
        n_columns=4,
        n_fields=2,
        size=256,
        defects=defects,
        seed=5,
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A study of two plates, one with planted defects and one without, measured; and a third that is not."""
    folder = tmp_path_factory.mktemp("report")
    planted = {
        ("A02", 1): Defect(blur_px=4),
        ("B03", 2): Defect(gain=40, roles=("ER",)),
        ("D02", 1): Defect(tilt=0.5, roles=("DNA",)),
    }
    lake = cytolake.init_lake(folder / "lake")
    for spec in (
        plate("planted", planted, {"C03": LOST, "D04": BLANK}),
        plate("clean", {}, {"D04": BLANK}),
    ):
        truth = make_export(folder / spec.plate_id, spec)
        lake.ingest(truth.export, study="pilot", plate_map=truth.plate_map)
    lake.transform(study="pilot", workers=1)
    return lake


@pytest.fixture(scope="module")
def reported(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("page")
    done: list[tuple[int, int]] = []
    result = lake.report(
        study="pilot",
        output=folder / "r.html",
        png=folder / "r.png",
        progress=lambda one, of: done.append((one, of)),
    )
    assert done == [(1, 2), (2, 2)]
    return result, (folder / "r.html").read_text(encoding="utf-8")


def test_each_planted_defect_is_named_and_nothing_else(reported: tuple[dict[str, Any], str]) -> None:
    clean, planted = sorted(reported[0]["plates"], key=lambda one: str(one["plate_id"]))
    found = {(p["problem"], p["well_id"], p["field_id"], tuple(p["of"])) for p in planted["problems"]}
    assert found == {
        ("blurred", "A02", 1, ("DNA", "ER")),
        ("saturated", "B03", 2, ("ER",)),
        ("uneven", "D02", 1, ("DNA",)),
        ("empty", "C03", None, ("nuclei",)),
    }
    assert clean["problems"] == []
    assert planted["notes"] == clean["notes"] == ["Well D04 is empty, as the plate map says."]
    page = reported[1]
    for problem in planted["problems"]:
        assert escape(problem["sentence"]) in page
    assert "4 problems" in page
    assert "No problem found" in page


def test_flags_are_rows_that_sql_filters_on(lake: Lake) -> None:
    table = lake.sql(
        "SELECT DISTINCT plate_id, well_id, field_id, metric FROM quality WHERE metric LIKE 'Flag_%' AND value = 1 "
        "AND well_id NOT IN ('D04') ORDER BY ALL"
    ).to_arrow()
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("planted", "A02", 1, "Flag_Blurred"),
        ("planted", "B03", 2, "Flag_Saturated"),
        ("planted", "C03", 1, "Flag_Empty"),
        ("planted", "C03", 2, "Flag_Empty"),
        ("planted", "D02", 1, "Flag_Uneven"),
    ]


class Reader(HTMLParser):
    """Notes what a page loads and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(reported: tuple[dict[str, Any], str]) -> None:
    from PIL import Image

    reader = Reader()
    reader.feed(reported[1])
    assert reader.open == []
    assert all(source.startswith(("data:image/jpeg;base64,", "#plate-")) for source in reader.sources)
    assert "script" not in reader.tags
    pictures = [source.partition(",")[2] for source in reader.sources if source.startswith("data:")]
    assert len(pictures) == 4 * 4  # four problems: the field and a typical one, whole and in detail
    assert max(Image.open(io.BytesIO(base64.b64decode(picture))).width for picture in pictures) <= 180
    drawings = re.findall(r"<svg.*?</svg>", reported[1])
    assert len(drawings) > 20
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert len(reported[0]["pictures"]) == 2
    for png in reported[0]["pictures"]:
        with Image.open(png) as picture:
            assert picture.width >= 800


def test_a_plate_that_was_not_transformed_says_what_to_run(
    lake: Lake, tmp_path: Path, tiny_export: Path, demo_truth: Any
) -> None:
    other = cytolake.init_lake(tmp_path / "lake")
    other.ingest(tiny_export, study="fresh")
    with pytest.raises(NotFoundError, match=r"plate tiny-1.*not transformed yet") as caught:
        other.report(study="fresh", output=tmp_path / "r.html")
    assert "cytolake transform --study fresh --plate tiny-1" in str(caught.value.hint)
    assert not (tmp_path / "r.html").exists()
    with pytest.raises(UsageError, match="no folder"):
        lake.report(study="pilot", output=tmp_path / "nowhere" / "r.html")
    with pytest.raises(NotFoundError, match="feature set 'cells@9'"):
        lake.report(study="pilot", output=tmp_path / "r.html", feature_set="cells@9")


def made(
    counts: dict[str, float], *, flags: tuple[Flag, ...] = (), controls: dict[str, str] | None = None
) -> PlateQuality:
    return PlateQuality(
        study_id="s",
        plate_id="<script>alert(1)</script>",
        path="nowhere",
        n_rows=8,
        n_columns=12,
        feature_set="nuclei@1",
        run_id="r",
        series=(Series(metric="Count", name="nuclei", fields={(well, 1): n for well, n in counts.items()}),),
        flags=flags,
        controls=controls or {},
        fields={(well, 1): 1 for well in counts},
    )


def test_edge_rows_and_controls_are_compared() -> None:
    wells = {f"{row}{column:02}": 100.0 + column for row in "ABCDEFGH" for column in range(1, 13)}
    assert not any(effect.matters for effect in effects(made(wells)))
    edge = {well: n * (0.6 if well[0] in "AH" or well[1:] in ("01", "12") else 1.0) for well, n in wells.items()}
    found = {effect.place: effect for effect in effects(made(edge)) if effect.matters}
    assert "edge" in found
    assert found["edge"].ratio == pytest.approx(0.6, abs=0.03)
    row = {well: n * (1.5 if well[0] == "C" else 1.0) for well, n in wells.items()}
    assert [effect.place for effect in effects(made(row)) if effect.matters] == ["row C"]
    controls = {"A01": "positive", "B01": "positive", "C01": "negative_vehicle", "D01": "negative_vehicle"}
    counts = {"A01": 10.0, "B01": 12.0, "C01": 100.0, "D01": 102.0}
    (separation,) = separations(made(counts, controls=controls))
    assert separation.z_prime == pytest.approx(1 - 3 * 2 * 2**0.5 / 90)


def test_what_comes_from_files_is_escaped() -> None:
    name = "<img src=x onerror=alert(1)>"
    flag = Flag(
        kind="Blurred",
        well_id="A01",
        field_id=1,
        acquisition_id=1,
        timepoint=0,
        channel_index=0,
        name=name,
        reason="<b>because</b>",
    )
    quality = made({"A01": 1.0, "A02": 2.0, "A03": 2.0}, flags=(flag,), controls={"A01": "<i>odd</i>"})
    found, notes = problems(quality)
    findings = Findings(plate=quality, problems=found, notes=notes, effects=(), separations=(), thumbnails=())
    page = plate_section(findings, 0)
    for hostile in ("<script>", "<img", "<b>", "<i>"):
        assert hostile not in page
    reader = Reader()
    reader.feed(page)
    assert reader.open == []


def test_a_defect_of_most_of_the_plate_is_said_once() -> None:
    wells = {f"A{column:02}": 50.0 for column in range(1, 13)}
    flags = tuple(
        Flag(
            kind="Saturated",
            well_id=well,
            field_id=1,
            acquisition_id=1,
            timepoint=0,
            channel_index=0,
            name="ER",
            reason="9 %",
        )
        for well in list(wells)[:8]
    )
    (problem,), _ = problems(made(wells, flags=flags))
    assert (problem.well_id, problem.field_id, problem.names) == (None, None, ("ER",))
    assert "ER is saturated in 8 of 12 fields" in problem.sentence


def test_a_field_that_could_not_be_measured_is_a_problem() -> None:
    from cytolake.transforms.report.data import _flags

    row = {
        "acquisition_id": 1,
        "well_id": "B02",
        "field_id": 3,
        "timepoint": 0,
        "channel_index": None,
        "channel_role": None,
        "object_set": "nuclei",
        "metric": "Count",
        "value": None,
        "reason": "no pixels of channel DNA",
    }
    table = pa.Table.from_pylist(
        [row],
        schema=pa.schema([(name, pa.float64() if name == "value" else pa.array([v]).type) for name, v in row.items()]),
    )
    (flag,) = _flags(table.slice(0, 0), table, {})
    assert (flag.kind, flag.well_id, flag.reason) == ("Unmeasured", "B02", "no pixels of channel DNA")
