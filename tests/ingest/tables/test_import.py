"""What holds for every dialect: plates and wells, what exists already, types, values that are none, all or nothing."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import AlreadyExistsError, InvalidDataError, NotFoundError, UsageError
from cytolake.store.check import validate
from cytolake.store.root import LakeRoot, open_root
from table_examples import IMAGES, Bring, objects, write_csv


def profiles(**more: Any) -> list[dict[str, Any]]:
    return [
        {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_gene": gene, "Cells_AreaShape_Area": area, **more}
        for plate, well, gene, area in [
            ("P1", "A01", "x", 1.5), ("P1", "A02", "y", 2.5), ("P2", "A01", "x", 3.5), ("P2", "H12", "y", 4.5),
        ]
    ]  # fmt: skip


@pytest.fixture
def wells(tmp_path: Path) -> Path:
    """Profiles of two plates, two wells each."""
    return write_csv(tmp_path / "wells.csv", profiles())


def test_a_plate_by_option_does_not_join_plates(bring: Bring, wells: Path) -> None:
    with pytest.raises(InvalidDataError, match="several plates, P1, P2, and --plate P1 would make one") as caught:
        bring(wells, plate_id="P1")
    assert "Leave --plate out" in str(caught.value.hint)
    assert "plates" not in bring.root.tables.names()


def test_a_new_study_with_the_plates_of_another_one_is_told(bring: Bring, wells: Path) -> None:
    assert not any("is new" in words for words in bring(wells)["warnings"])
    (told,) = (words for words in bring(wells, study="t", dry_run=True)["warnings"] if "is new" in words)
    assert told == "study t is new, and study s has plates of the same names: P1, P2; if they are meant, import into s"
    bring(wells, study="t")
    assert not any("is new" in words for words in bring(wells, study="t", existing="replace")["warnings"])


def test_profiles_of_plates_that_the_lake_does_not_know(bring: Bring, wells: Path) -> None:
    report = bring(wells, name="theirs")
    assert (report["feature_set"], report["profile_set"], report["level"]) == (None, "theirs@1", "well")
    assert report["plates_created"] == ["P1", "P2"]
    assert [(r["plate_id"], r["well_id"], r["Cells_AreaShape_Area"]) for r in bring.rows("well")] == [
        ("P1", "A01", 1.5), ("P1", "A02", 2.5), ("P2", "A01", 3.5), ("P2", "H12", 4.5),
    ]  # fmt: skip
    assert {p["plate_id"]: (p["n_rows"], p["n_columns"]) for p in bring.table("plates")} == {
        "P1": (8, 12),
        "P2": (8, 12),
    }
    assert validate(bring.root)["errors"] == []


def test_the_second_import_says_what_to_do(bring: Bring, wells: Path) -> None:
    first = bring(wells)
    with pytest.raises(AlreadyExistsError, match="plate P1 of study s has rows in profiles/pycytominer/"):
        bring(wells)
    skipped = bring(wells, existing="skip")
    assert (skipped["status"], skipped["run_id"], skipped["rows"]) == ("skipped", None, 0)
    assert len(bring.table("runs")) == 1
    replaced = bring(wells, existing="replace")
    assert {row["run_id"] for row in bring.rows("well")} == {replaced["run_id"]} != {first["run_id"]}
    assert len(bring.rows("well")) == 4
    assert len(bring.table("plates")) == 2


def test_skip_takes_the_plates_that_are_new(bring: Bring, tmp_path: Path) -> None:
    rows = profiles()
    bring(write_csv(tmp_path / "one.csv", rows[:2]))
    report = bring(write_csv(tmp_path / "both.csv", rows), existing="skip")
    assert report["rows"] == 2
    assert len(report["plates_skipped"]) == 1
    assert sorted(r["plate_id"] for r in bring.rows("well")) == ["P1", "P1", "P2", "P2"]


def test_a_dry_run_counts_everything_and_writes_nothing(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    folder = cellprofiler()
    before = sorted(Path(bring.root.url).rglob("*"))
    report = bring(folder, dry_run=True)
    assert (report["run_id"], report["rows"], report["plates_created"]) == (None, 12, ["P1"])
    assert sorted(Path(bring.root.url).rglob("*")) == before


def test_the_same_definition_is_one_set_and_another_pipeline_is_the_next(bring: Bring, tmp_path: Path) -> None:
    rows = profiles()
    pipeline = tmp_path / "a.cppipe"
    pipeline.write_text("Version:5")
    labels = [
        bring(write_csv(tmp_path / "1.csv", rows[:2]))["profile_set"],
        bring(write_csv(tmp_path / "2.csv", rows[2:]))["profile_set"],
        bring(write_csv(tmp_path / "3.csv", rows[2:]), pipeline=pipeline)["profile_set"],
    ]
    assert labels == ["pycytominer@1", "pycytominer@1", "pycytominer@2"]


def test_values_that_are_none_are_counted(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    rows = objects(A=1.0, B="", C="1")
    for index, value in enumerate(("nan", "inf", "-Infinity", "NA", "1e300")):
        rows[index]["A"] = value
    report = bring(cellprofiler(Cells=rows))
    assert [r["Cells_A"] for r in bring.rows("cells")] == [None] * 5 + [1.0] * 3
    assert report["nan"]["worst"][0] == {"column": "Cells_B", "values": 8, "fraction": 1.0}
    assert report["inf"]["worst"] == [{"column": "Cells_A", "values": 2, "fraction": 0.25}]
    said = " ".join(report["warnings"])
    assert "2 infinite values in 1 columns are NULL" in said
    assert "1 values in 1 columns are too large for 32-bit floats" in said
    exact = bring(cellprofiler(Cells=rows), name="exact", precision="float64")
    assert exact["feature_set"] == "exact@1"
    assert [r["Cells_A"] for r in bring.rows("cells", name="exact")][4] == 1e300


def test_a_column_that_is_text_in_one_file_and_numbers_in_another(
    bring: Bring, cellprofiler: Callable[..., Path]
) -> None:
    one = cellprofiler("1", images=IMAGES[:2], Cells=objects(Odd=1)[:4])
    two = cellprofiler("2", images=IMAGES[2:], Cells=objects(Odd="much")[4:])
    with pytest.raises(InvalidDataError, match=r"Odd is text in Cells\.csv and numbers in Cells\.csv"):
        bring(one, two)
    assert bring.table("plates") == []
    assert not list(Path(bring.root.url).rglob("*.parquet"))


def test_a_text_among_numbers_is_told_with_its_column(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    rows = [
        {"ImageNumber": 1, "ObjectNumber": number, "AreaShape_Area": number, "Late": ""} for number in range(1, 3001)
    ]
    rows[2500]["AreaShape_Area"] = "lots"
    with pytest.raises(InvalidDataError, match=r"column AreaShape_Area holds numbers in the first rows, and 'lots'"):
        bring(cellprofiler(Cells=rows))
    assert not list(Path(bring.root.url).rglob("*.parquet"))
    rows[2500]["AreaShape_Area"] = 1
    rows[2900]["Late"] = "1.25"
    bring(cellprofiler(Cells=rows))
    assert sum(r["Cells_Late"] or 0 for r in bring.rows("cells")) == 1.25


def test_whole_numbers_that_become_fractions_later(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    rows = [{"ImageNumber": 1, "ObjectNumber": n, "AreaShape_Area": n} for n in range(1, 5001)]
    rows[-1]["AreaShape_Area"] = 0.5
    bring(cellprofiler(Cells=rows))
    assert sorted(r["Cells_AreaShape_Area"] for r in bring.rows("cells"))[:2] == [0.5, 1.0]


def test_names_that_would_be_one(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    report = bring(cellprofiler(Cells=objects(**{"AreaShape_area": 7, "Odd name; (x)": 8, "plate_id": 9})))
    row = bring.rows("cells")[0]
    assert (row["Cells_AreaShape_Area"], row["Cells_AreaShape_area_2"]) == (11, 7)
    assert row["Cells_Odd_name___x_"] == 8
    assert (row["plate_id"], row["Cells_plate_id"]) == ("P1", 9)
    originals = {r["column"]: r["original"] for r in bring.table("feature_dictionary")}
    assert originals["Cells_Odd_name___x_"] == "Odd name; (x)"
    assert any("would have shared names" in text for text in report["warnings"])


def test_wells_outside_of_the_plate(bring: Bring, wells: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="plate P2 has 4 rows and 6 columns, and no well H12"):
        bring(wells, plate_format=24)
    bring(wells, plate_format="16x24")
    more = write_csv(tmp_path / "more.csv", [{**profiles()[0], "Metadata_Well": "AF48"}])
    with pytest.raises(InvalidDataError, match="plate P1 has 16 rows and 24 columns, and no well AF48"):
        bring(more, name="other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Metadata_Well": "west"}, "names of wells are none: 'west'"),
        ({"Metadata_Well": ""}, "rows name no well"),
        ({"Metadata_Plate": ""}, "rows name no plate"),
    ],
)
def test_rows_that_belong_nowhere(bring: Bring, tmp_path: Path, change: dict[str, str], said: str) -> None:
    rows = profiles()
    rows[3] |= change
    with pytest.raises(InvalidDataError, match=said):
        bring(write_csv(tmp_path / "x.csv", rows))
    assert bring.table("plates") == []


def test_a_well_that_comes_twice(bring: Bring, tmp_path: Path) -> None:
    rows = profiles()
    with pytest.raises(InvalidDataError, match="wells: plate P1, well A01 comes more than once"):
        bring(write_csv(tmp_path / "x.csv", [*rows, rows[0]]))


def test_facts_of_wells_do_not_overrule_the_lake(bring: Bring, tmp_path: Path) -> None:
    rows = profiles()
    bring(write_csv(tmp_path / "1.csv", rows), name="one")
    for row in rows:
        row["Metadata_gene"], row["Metadata_dose"] = "other", "5"
    report = bring(write_csv(tmp_path / "2.csv", rows), name="two")
    (well,) = bring.table("wells", plate_id="P1", well_id="A01")
    assert well["attributes"] == {"Metadata_gene": "x", "Metadata_dose": "5"}
    assert well["run_id"] == report["run_id"]
    assert any("4 facts of wells are otherwise in the lake" in text for text in report["warnings"])
    (run,) = bring.table("runs", run_id=report["run_id"])
    assert [one["kind"] for one in run["inputs"]] == ["file", "run"]


def test_what_differs_within_a_well_is_not_kept(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    images = [{**image, "Metadata_AbsTime": index} for index, image in enumerate(IMAGES)]
    report = bring(cellprofiler(images=images))
    assert (report["metadata_columns"], report["metadata_varying"]) == (["Metadata_gene"], ["Metadata_AbsTime"])
    assert bring.table("wells")[0]["attributes"] == {"Metadata_gene": "ECT2"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_encodings(bring: Bring, tmp_path: Path, encoding: str) -> None:
    rows = profiles(Metadata_drug="Käse µ")
    bring(write_csv(tmp_path / "x.csv", rows, encoding=encoding))
    assert bring.table("wells")[0]["attributes"]["Metadata_drug"] == "Käse µ"


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz"])
def test_packed_files(bring: Bring, wells: Path, packed: str) -> None:
    import bz2
    import gzip
    import lzma

    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[packed]
    file = wells.with_name(f"wells.csv.{packed}")
    file.write_bytes(pack(wells.read_bytes()))
    assert bring(file)["rows"] == 4
    file.write_bytes(pack(wells.read_bytes())[:-20])
    with pytest.raises(InvalidDataError):
        bring(file, name="cut")


def test_quotes_and_lines_in_cells(bring: Bring, tmp_path: Path) -> None:
    bring(write_csv(tmp_path / "x.csv", profiles(Metadata_note='a "b",\nc')))
    assert bring.table("wells")[0]["attributes"]["Metadata_note"] == 'a "b",\nc'


def test_rows_of_unequal_length(bring: Bring, wells: Path) -> None:
    wells.write_text(wells.read_text() + "P3,A01\n")
    with pytest.raises(InvalidDataError, match=r"wells\.csv, line 6: 2 cells, where the header has 4"):
        bring(wells)


def test_an_open_quote(bring: Bring, wells: Path) -> None:
    wells.write_text(wells.read_text() + 'P3,A01,"x,5\n' + "P3,A02,x,5\n" * 10)
    with pytest.raises(InvalidDataError, match=r"wells\.csv"):
        bring(wells)


def test_files_that_nobody_knows(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "picture.csv").write_bytes(bytes(range(256)))
    write_csv(tmp_path / "x" / "odd.csv", [{"a": 1, "b": 2}])
    with pytest.raises(InvalidDataError) as raised:
        bring(tmp_path / "x")
    assert "odd.csv (text with the columns a, b)" in str(raised.value)
    assert "picture.csv (no table" in str(raised.value)
    with pytest.raises(UsageError, match="there is no dialect 'cellprofile'; did you mean 'cellprofiler'"):
        bring(tmp_path / "x", dialect="cellprofile")
    with pytest.raises(InvalidDataError, match="not written in the dialect cellprofiler"):
        bring(tmp_path / "x", dialect="cellprofiler")
    with pytest.raises(NotFoundError, match="no file or folder"):
        bring(tmp_path / "nowhere")


def test_links_in_folders_are_not_followed(bring: Bring, cellprofiler: Callable[..., Path], tmp_path: Path) -> None:
    folder = cellprofiler()
    outside = write_csv(tmp_path / "outside.csv", objects())
    (folder / "Nuclei.csv").symlink_to(outside)
    assert not any("nuclei" in table for table in bring(folder)["tables"])


def test_many_plates_mixed_in_one_file(bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"Metadata_Plate": f"P{p}", "Metadata_Well": f"A{w:02d}", "Cells_AreaShape_Area": p + w / 100}
        for w in range(1, 4)
        for p in range(90)
    ]
    report = bring(write_csv(tmp_path / "x.csv", rows))
    assert (report["rows"], len(report["plates"])) == (270, 90)
    found = bring.rows("well")
    assert {(r["plate_id"], r["well_id"]): r["Cells_AreaShape_Area"] for r in found} == {
        (r["Metadata_Plate"], r["Metadata_Well"]): r["Cells_AreaShape_Area"] for r in rows
    }


def test_progress_is_of_bytes(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    seen: list[tuple[int, int]] = []
    folder = cellprofiler()
    bring(folder, progress=lambda done, total: seen.append((done, total)))
    total = sum((folder / name).stat().st_size for name in ("Image.csv", "Cells.csv"))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("moment", ["finish", "commit"])
def test_a_kill_leaves_nothing_or_all(root: LakeRoot, bring: Bring, wells: Path, moment: str) -> None:
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from cytolake.ingest.tables import run, write
        from cytolake.store.root import open_root
        from cytolake.ingest.tables.parts import PlateFiles
        from cytolake.store.commit import Commit
        def die(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGKILL)
        moment = {moment!r}
        if moment == "finish":
            done = PlateFiles.finish
            PlateFiles.finish = lambda self: (done(self), die())
        else:
            Commit._decide_and_apply = die
        run.import_tables(open_root({root.url!r}), [Path({str(wells)!r})], study_id="s")
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -9, ended.stderr
    again = open_root(root.url)
    assert again.tables.read("plates").num_rows == again.tables.read("runs").num_rows == 0
    assert bring(wells)["rows"] == 4
    assert len(bring.rows("well")) == 4


def test_treatments(bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"Metadata_broad_sample": name, "Metadata_dose": dose, "Cells_AreaShape_Area": value}
        for name, dose, value in (("BRD-1", 1, 0.25), ("BRD-1", 10, 0.5), ("DMSO", "", math.nan))
    ]
    report = bring(write_csv(tmp_path / "consensus.csv", rows))
    assert (report["level"], report["plates"]) == ("treatment", [])
    found = [
        (r["treatment"], r["perturbation"], r["n_wells"], r["Cells_AreaShape_Area"]) for r in bring.rows("treatment")
    ]
    assert found == [
        ("BRD-1 | 1", "BRD-1", None, 0.25), ("BRD-1 | 10", "BRD-1", None, 0.5), ("DMSO | ", "DMSO", None, None),
    ]  # fmt: skip
    with pytest.raises(AlreadyExistsError, match="treatments of study s"):
        bring(tmp_path / "consensus.csv")
    bring(tmp_path / "consensus.csv", existing="replace")
    assert len(bring.rows("treatment")) == 3


def test_roles(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    rows = objects(Intensity_MeanIntensity_CorrER=1, Intensity_MeanIntensity_GFP=2)
    report = bring(cellprofiler(Cells=rows), roles={"gfp": "rna"})
    assert report["roles"] == {"GFP": "RNA", "DNA": "DNA", "CorrER": "ER"}
    assert "channels by their names: CorrER = ER (--role overrules)" in report["warnings"]
    assert bring.rows("cells")[0]["Cells_Intensity_MeanIntensity_RNA"] == 2
    assert bring.rows("cells")[0]["Cells_Intensity_MeanIntensity_ER"] == 1
    with pytest.raises(UsageError, match="no column is about a channel 'gfpp'; did you mean 'GFP'"):
        bring(cellprofiler(Cells=rows), roles={"gfpp": "RNA"}, name="x")
    with pytest.raises(UsageError, match="is given to two channels"):
        bring(cellprofiler(Cells=rows), roles={"GFP": "RNA", "CorrER": "RNA"}, name="x")


def test_a_column_is_found_under_the_names_that_all_imports_gave_it(bring: Bring, tmp_path: Path) -> None:
    for study, channel in (("one", "DAPI"), ("two", "Hoechst"), ("one-more", "DAPI")):
        column = f"Nuclei_Intensity_MeanIntensity_{channel}"
        rows = [{"Metadata_Plate": f"P-{study}", "Metadata_Well": "A01", column: 0.5}]
        report = bring(write_csv(tmp_path / f"{study}.csv", rows), study=study, name="theirs")
    assert report["other_studies"] == ["one", "two"]
    (described,) = bring.table("feature_dictionary")
    assert described["column"] == "Nuclei_Intensity_MeanIntensity_DNA"
    assert described["original"] == "Nuclei_Intensity_MeanIntensity_DAPI"
    assert described["aliases"].count("Nuclei_Intensity_MeanIntensity_Hoechst") == 1
    assert validate(bring.root)["errors"] == []


def test_a_fact_too_long_for_a_well_is_told(bring: Bring, tmp_path: Path) -> None:
    rows = profiles(Metadata_notes="x" * 1001)
    report = bring(write_csv(tmp_path / "wells.csv", rows))
    told = "Metadata_notes: values of more than 1,000 characters are not kept with their wells (4 of them)"
    assert told in report["warnings"]
    assert all("Metadata_notes" not in dict(row["attributes"]) for row in bring.table("wells"))
