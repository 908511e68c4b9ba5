"""Synonyms are learnt from tables as they are published: once, whatever they contradict, and they can be forgotten."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cytolake.catalog.synonyms import forget_synonyms, import_synonyms, synonym_sources
from cytolake.cli.main import cli
from cytolake.errors import InvalidDataError, NotFoundError

if TYPE_CHECKING:
    from conftest import TableLake

ASPIRIN = "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
AMLODIPINE = "HTIQEAQVCYTUBX-UHFFFAOYSA-N"


def learnt(lake: TableLake) -> set[tuple[str, ...]]:
    names = ("namespace", "synonym", "preferred_namespace", "preferred", "relation")
    return {tuple(row[name] for name in names) for row in lake.root.tables.read("synonyms").to_pylist()}


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_wide_table_of_compounds(empty_lake: TableLake, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "InChIKey\tMetadata_JCP2022\tbroad_sample\tpubchem_cid\tpert_iname\ttarget_list\n"
        f"{ASPIRIN}\tJCP2022_000001\tBRD-K11433652-001-01-1\t2244\taspirin\tPTGS1|PTGS2\n"
        f"{AMLODIPINE}\tNA\t\t2162|999\tamlodipine\t\n"
        "\tJCP2022_000003\tDMSO\t\tdimethyl sulfoxide\t\n",
        "compounds.tsv",
    )
    result = import_synonyms(empty_lake.root, file, kind="compound")
    assert learnt(empty_lake) == {
        ("jcp", "JCP2022_000001", "inchikey", ASPIRIN, "identifier"),
        ("brd", "BRD-K11433652-001-01-1", "inchikey", ASPIRIN, "identifier"),
        ("pubchem", "2244", "inchikey", ASPIRIN, "identifier"),
        ("name", "aspirin", "inchikey", ASPIRIN, "identifier"),
        ("pubchem", "2162", "inchikey", AMLODIPINE, "identifier"),
        ("pubchem", "999", "inchikey", AMLODIPINE, "identifier"),
        ("name", "amlodipine", "inchikey", AMLODIPINE, "identifier"),
        ("name", "DMSO", "jcp", "JCP2022_000003", "identifier"),
        ("name", "dimethyl sulfoxide", "jcp", "JCP2022_000003", "identifier"),
    }
    assert {key: result[key] for key in ("status", "source", "synonyms", "preferred", "added", "ambiguous")} == {
        "status": "ok",
        "source": "compounds.tsv",
        "synonyms": 9,
        "preferred": 3,
        "added": 9,
        "ambiguous": 0,
    }
    assert result["ignored_columns"] == ["target_list"]
    assert result["columns"]["Metadata_JCP2022"] == "jcp"
    assert result["invalid"] == {}


@pytest.mark.parametrize("between", [", ", "|"])
def test_genes_as_hgnc_lists_them(empty_lake: TableLake, tmp_path: Path, between: str) -> None:
    text = (
        "HGNC ID\tApproved symbol\tStatus\tPrevious symbols\tAlias symbols\tNCBI Gene ID\tEnsembl gene ID\n"
        f'HGNC:11998\tTP53\tApproved\t\t"{between.join(["p53", "LFS1"])}"\t7157\tENSG00000141510\n'
        "HGNC:16262\tYAP1\tApproved\tYAP\tYAP65\t\tENSG00000137693\n"
    )
    file = tmp_path / "hgnc.tsv.gz"
    file.write_bytes(gzip.compress(text.encode()))
    import_synonyms(empty_lake.root, file, kind="gene", source="HGNC 2026-03")
    assert learnt(empty_lake) == {
        ("hgnc", "HGNC:11998", "entrez", "7157", "identifier"),
        ("symbol", "TP53", "entrez", "7157", "identifier"),
        ("symbol", "p53", "entrez", "7157", "alias"),
        ("symbol", "LFS1", "entrez", "7157", "alias"),
        ("ensembl", "ENSG00000141510", "entrez", "7157", "identifier"),
        ("symbol", "YAP1", "hgnc", "HGNC:16262", "identifier"),
        ("symbol", "YAP", "hgnc", "HGNC:16262", "previous"),
        ("symbol", "YAP65", "hgnc", "HGNC:16262", "alias"),
        ("ensembl", "ENSG00000137693", "hgnc", "HGNC:16262", "identifier"),
    }


def test_a_long_table(empty_lake: TableLake, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "namespace;synonym;preferred_namespace;preferred;relation\nName;taxol;NAME;paclitaxel;alias\nname;ASA;name;aspirin;\n",
    )
    import_synonyms(empty_lake.root, file, kind="compound")
    assert learnt(empty_lake) == {
        ("name", "taxol", "name", "paclitaxel", "alias"),
        ("name", "ASA", "name", "aspirin", "identifier"),
    }


def test_the_same_file_again_changes_nothing(empty_lake: TableLake, tmp_path: Path) -> None:
    file = written(tmp_path, f"InChIKey,name\n{ASPIRIN},aspirin\n")
    first = import_synonyms(empty_lake.root, file, kind="compound")
    versions = {name: empty_lake.root.tables.version(name) for name in ("synonyms", "runs")}
    again = import_synonyms(empty_lake.root, file, kind="compound")
    assert (first["status"], again["status"], again["added"], again["run_id"]) == ("ok", "skipped", 0, None)
    assert {name: empty_lake.root.tables.version(name) for name in versions} == versions
    written(tmp_path, f"InChIKey,name\n{ASPIRIN},aspirin\n{AMLODIPINE},amlodipine\n")
    assert import_synonyms(empty_lake.root, file, kind="compound")["added"] == 1
    ((run,),) = [[row for row in empty_lake.root.tables.read("runs").to_pylist() if row["run_id"] == first["run_id"]]]
    assert run["verb"] == "synonyms"
    assert run["inputs"][0]["name"] == "table.csv"
    assert len(run["inputs"][0]["sha256"]) == 64


def test_contradictions_are_kept_and_told(empty_lake: TableLake, tmp_path: Path) -> None:
    import_synonyms(empty_lake.root, written(tmp_path, f"InChIKey,name\n{ASPIRIN},Thing\n", "a.csv"), kind="compound")
    file = written(tmp_path, f"InChIKey,name\n{AMLODIPINE},thing\n", "b.csv")
    result = import_synonyms(empty_lake.root, file, kind="compound")
    assert result["ambiguous"] == 1
    assert result["examples"] == [
        {"synonym": "name:thing", "preferred": [f"inchikey:{ASPIRIN}", f"inchikey:{AMLODIPINE}"]}
    ]
    assert len(learnt(empty_lake)) == 2


def test_what_is_no_identifier_is_left_out_and_told(empty_lake: TableLake, tmp_path: Path) -> None:
    file = written(tmp_path, f"InChIKey,pubchem_cid,name\nnot-a-key,2244,aspirin\n{AMLODIPINE},many,amlodipine\n")
    result = import_synonyms(empty_lake.root, file, kind="compound")
    assert learnt(empty_lake) == {
        ("name", "aspirin", "pubchem", "2244", "identifier"),
        ("name", "amlodipine", "inchikey", AMLODIPINE, "identifier"),
    }
    assert result["invalid"] == {
        "InChIKey": {"count": 1, "examples": ["not-a-key"]},
        "pubchem_cid": {"count": 1, "examples": ["many"]},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "has the columns a, b; none is known"),
        ("InChIKey,b\n1,2\n", "only InChIKey is known"),
        ("synonym,preferred\nx,y\n", "has no column namespace"),
        ("namespace,synonym,preferred_namespace,preferred\n,x,name,y\n", "lack a namespace"),
        (
            "namespace,synonym,preferred_namespace,preferred,relation\nname,x,name,y,cousin\n",
            "no relation is called cousin",
        ),
        ("name,name\nx,y\n", "two columns are called name"),
        ("InChIKey,name\nx,y,z\n", "is no table"),
        ("", "is no table"),
    ],
)
def test_what_says_nothing_is_refused(empty_lake: TableLake, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        import_synonyms(empty_lake.root, written(tmp_path, text), kind="compound")
    assert not empty_lake.root.tables.exists("synonyms")


def test_names_may_hold_anything(empty_lake: TableLake, tmp_path: Path) -> None:
    names = ["'); DROP TABLE given; --", 'a "quoted", name', "β-thing", "two\nlines", "{'x': 1}"]
    lines = ["InChIKey,name", *(f'{ASPIRIN},"{name.replace(chr(34), chr(34) * 2)}"' for name in names)]
    import_synonyms(empty_lake.root, written(tmp_path, "\n".join(lines)), kind="compound")
    assert {row[1] for row in learnt(empty_lake)} == set(names)


def test_old_text_of_windows_is_read(empty_lake: TableLake, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_bytes(f"InChIKey,name\n{ASPIRIN},Ber\xfcn\n".encode("cp1252"))
    import_synonyms(empty_lake.root, file, kind="compound")
    assert {row[1] for row in learnt(empty_lake)} == {"Berün"}


def test_sources_are_listed_and_forgotten(empty_lake: TableLake, tmp_path: Path) -> None:
    assert synonym_sources(empty_lake.root) == []
    for name in ("a.csv", "b.csv"):
        file = written(tmp_path, f"InChIKey,name\n{ASPIRIN},aspirin\n", name)
        import_synonyms(empty_lake.root, file, kind="compound")
    assert [(one["source"], one["synonyms"]) for one in synonym_sources(empty_lake.root)] == [
        ("a.csv", 1),
        ("b.csv", 1),
    ]
    forget_synonyms(empty_lake.root, "a.csv")
    assert [one["source"] for one in synonym_sources(empty_lake.root)] == ["b.csv"]
    assert len(learnt(empty_lake)) == 1
    with pytest.raises(NotFoundError, match=r"did you mean 'b\.csv'|no synonyms"):
        forget_synonyms(empty_lake.root, "a.csv")


def test_on_the_command_line(empty_lake: TableLake, tmp_path: Path) -> None:
    file = written(tmp_path, f"InChIKey,name,other\n{ASPIRIN},aspirin,1\n")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["--lake", empty_lake.root.url, "catalog", "synonyms", *arguments])

    learning = run(str(file), "--kind", "compound")
    assert learning.exit_code == 0, learning.output
    assert "1 of 1 compounds, 1 new" in learning.output
    assert "InChIKey = inchikey, name" in learning.output
    listed = run("--json")
    assert [one["source"] for one in json.loads(listed.stdout)["sources"]] == ["table.csv"]
    assert "table.csv" in run().output
    assert run(str(file)).exit_code == 2
    assert "1 synonym of table.csv forgotten" in run("--forget", "table.csv").output
