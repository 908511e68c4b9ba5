"""Perturbations of several studies under one key: what matches, by what, and what is only told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import TableLake

ASPIRIN = "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
AMLODIPINE = "HTIQEAQVCYTUBX-UHFFFAOYSA-N"
LEVAMLODIPINE = "HTIQEAQVCYTUBX-KRWDZBQOSA-N"


def ask(lake: TableLake, query: str) -> list[tuple[Any, ...]]:
    return list(lake.catalog.sql(query).fetchall())


def given(lake: TableLake, *rows: dict[str, Any]) -> None:
    """Write perturbations: ``study``, ``name`` and whatever else is said."""
    records = [
        {"perturbation_id": row["name"], "type": "compound", **row, "study_id": row["study"]} | {"study": None}
        for row in rows
    ]
    lake.put("perturbations", *({k: v for k, v in record.items() if k != "study"} for record in records))


def says(lake: TableLake, kind: str, *rows: tuple[str, str, str]) -> None:
    """Write synonyms: ``namespace:synonym``, ``namespace:preferred``, relation."""
    lake.put(
        "synonyms",
        *(
            {
                "kind": kind,
                "namespace": synonym.split(":", 1)[0],
                "synonym": synonym.split(":", 1)[1],
                "preferred_namespace": preferred.split(":", 1)[0],
                "preferred": preferred.split(":", 1)[1],
                "relation": relation,
                "source": "test",
            }
            for synonym, preferred, relation in rows
        ),
    )


def keys(lake: TableLake) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    rows = ask(lake, "SELECT study_id, perturbation_id, key, how FROM harmonised_perturbations")
    return {(study, name): (key, how) for study, name, key, how in rows}


def test_identifiers_and_names_have_one_form(shared_lake: TableLake) -> None:
    cases = {
        (f" {ASPIRIN.lower()} ", None): f"inchikey:{ASPIRIN}",
        (f"InChIKey={ASPIRIN}", None): f"inchikey:{ASPIRIN}",
        ("jcp2022_012345", None): "jcp:JCP2022_012345",
        ("BRD-K12345678-001-01-1", None): "brd:BRD-K12345678",
        ("brd-k12345678", None): "brd:BRD-K12345678",
        ("BRD-K1234567", None): "name:brdk1234567",
        ("PubChem-2244", None): "pubchem:2244",
        ("CID: 2244", None): "pubchem:2244",
        ("2244.0", "pubchem"): "pubchem:2244",
        ("chembl25", None): "chembl:CHEMBL25",
        ("CHEBI:27732", None): "chebi:27732",
        ("27732", "chebi"): "chebi:27732",
        ("27732", "chembl"): "chembl:CHEMBL27732",
        ("CHEBI:0027732", None): "chebi:27732",
        ("7157", "entrez"): "entrez:7157",
        ("GeneID: 7157", "entrez"): "entrez:7157",
        ("TP53", "entrez"): "entrez:TP53",
        ("HGNC:11998", "entrez"): "entrez:HGNC:11998",
        ("BRD-K12345678", "pubchem"): "pubchem:BRD-K12345678",
        ("CHEMBL25", "pubchem"): "pubchem:CHEMBL25",
        ("HGNC:0011998", None): "hgnc:11998",
        ("NCBIGene-7157", None): "entrez:7157",
        ("ENSG00000141510.18", None): "ensembl:ENSG00000141510",
        ("HGNC:11998", None): "hgnc:11998",
        ("Trp53", "symbol"): "symbol:TRP53",
        ("NFκB inhibitor-1", None): "name:nfkappabinhibitor1",
        ("β‑Estradiol", None): "name:betaestradiol",
        ("Beta Estradiol", None): "name:betaestradiol",
        ("(−)-Nicotine", None): "name:(minus)nicotine",
        ("(+)-nicotine", None): "name:(+)nicotine",
        ("(+/-)-nicotine", None): "name:(rac)nicotine",
        ("(±)-nicotine", None): "name:(rac)nicotine",
        ("Café", None): "name:cafe",
        ("---", None): "name:---",
        ("7157", None): "name:7157",
        ("  ", None): None,
        ("o'neil'; DROP TABLE wells --", None): "name:o'neil';droptablewells",
        ("\U0001f9ea", None): "name:\U0001f9ea",
    }
    rows = ", ".join(
        "('{}', {})".format(text.replace("'", "''"), f"'{namespace}'" if namespace else "NULL")
        for text, namespace in cases
    )
    asked = f"SELECT text, namespace, harmonise_perturbation(text, namespace) FROM (VALUES {rows}) t(text, namespace)"
    assert {(text, namespace): key for text, namespace, key in ask(shared_lake, asked)} == cases
    assert ask(shared_lake, "SELECT harmonise_perturbation('x', '')") == [("name:x",)]
    assert ask(shared_lake, "SELECT harmonise_perturbation(NULL), harmonise_perturbation(2244, 'pubchem')") == [
        (None, "pubchem:2244")
    ]


def test_one_key_by_own_identifier_by_another_study_and_by_synonyms(empty_lake: TableLake) -> None:
    given(
        empty_lake,
        {"study": "a", "name": "aspirin", "inchikey": ASPIRIN, "pubchem_cid": 2244},
        {"study": "b", "name": "ASPIRIN"},
        {"study": "c", "name": "CID 2244"},
        {"study": "d", "name": "BRD-K11433652-001-01-1"},
        {"study": "e", "name": "ASA"},
        {"study": "e", "name": "water"},
        {"study": "e", "name": "nothing", "type": "none"},
    )
    says(empty_lake, "compound", ("brd:BRD-K11433652-300-15-3", f"inchikey:{ASPIRIN}", "identifier"))
    says(empty_lake, "compound", ("name:asa", "name:Aspirin", "alias"))
    key = f"inchikey:{ASPIRIN}"
    assert keys(empty_lake) == {
        ("a", "aspirin"): (key, "own"),
        ("b", "ASPIRIN"): (key, "study"),
        ("c", "CID 2244"): (key, "study"),
        ("d", "BRD-K11433652-001-01-1"): (key, "synonym"),
        ("e", "ASA"): (key, "study"),  # a synonym first, then study a
        ("e", "water"): ("name:water", "own"),
        ("e", "nothing"): (None, None),
    }
    assert ask(empty_lake, "SELECT match, studies FROM perturbation_matches") == [
        ("synonym", ["a", "b", "c", "d", "e"])
    ]


def test_two_keys_are_told_and_never_picked(empty_lake: TableLake) -> None:
    given(
        empty_lake,
        {"study": "a", "name": "thing", "inchikey": ASPIRIN},
        {"study": "b", "name": "thing", "inchikey": AMLODIPINE},
        {"study": "c", "name": "Thing"},
        {"study": "d", "name": "other", "inchikey": ASPIRIN, "pubchem_cid": 2162},
    )
    says(empty_lake, "compound", ("pubchem:2162", f"inchikey:{AMLODIPINE}", "identifier"))
    rows = ask(
        empty_lake, "SELECT study_id, key, ambiguous, len(candidates) FROM harmonised_perturbations ORDER BY study_id"
    )
    assert rows == [
        ("a", f"inchikey:{ASPIRIN}", False, 1),
        ("b", f"inchikey:{AMLODIPINE}", False, 1),
        ("c", None, True, 2),
        ("d", f"inchikey:{ASPIRIN}", True, 2),
    ]
    assert ("near miss", "same name", ["a", "b"]) in ask(
        empty_lake, "SELECT match, reason, studies FROM perturbation_matches"
    )


def test_genes_by_symbol_number_and_former_names(empty_lake: TableLake) -> None:
    crispr = {"type": "crispr_ko"}
    given(
        empty_lake,
        {"study": "a", "name": "g1", "gene": "TP53", **crispr},
        {"study": "b", "name": "g2", "gene": "whatever", "ncbi_gene_id": 7157, "type": "sirna"},
        {"study": "c", "name": "g3", "gene": "tp53", "ensembl_id": "ENSG00000141510.3", "type": "orf"},
        {"study": "d", "name": "g4", "gene": "P53", **crispr},
        {"study": "d", "name": "g5", "gene": "CAP", **crispr},
        {"study": "d", "name": "g6", "gene": "CAP1", **crispr},
    )
    says(
        empty_lake,
        "gene",
        ("symbol:TP53", "entrez:7157", "identifier"),
        ("symbol:P53", "entrez:7157", "alias"),
        ("symbol:CAP", "entrez:10487", "previous"),
        ("symbol:CAP", "entrez:8754", "alias"),
        ("symbol:CAP1", "entrez:10487", "identifier"),
        ("symbol:CAP1", "entrez:9994", "alias"),
    )
    found = {name: key for (_, name), (key, _) in keys(empty_lake).items()}
    assert found == {
        "g1": "entrez:7157",
        "g2": "entrez:7157",
        "g3": "entrez:7157",
        "g4": "entrez:7157",
        "g5": "entrez:10487",  # a former name is stronger than another gene's alias
        "g6": "entrez:10487",  # and an approved symbol than both
    }
    says(empty_lake, "gene", ("symbol:P53", "entrez:1", "alias"))
    assert ask(empty_lake, "SELECT key, ambiguous FROM harmonised_perturbations WHERE perturbation_id = 'g4'") == [
        (None, True)
    ]


def test_synonyms_of_compounds_are_not_those_of_genes(empty_lake: TableLake) -> None:
    given(empty_lake, {"study": "a", "name": "x"}, {"study": "b", "name": "x", "type": "sirna", "gene": "x"})
    says(empty_lake, "gene", ("symbol:X", "entrez:1", "identifier"))
    assert keys(empty_lake) == {("a", "x"): ("name:x", "own"), ("b", "x"): ("entrez:1", "synonym")}


def test_circles_and_long_chains_end(empty_lake: TableLake) -> None:
    given(empty_lake, {"study": "a", "name": "n1"}, {"study": "b", "name": "n3"}, {"study": "c", "name": "m0"})
    circle = [("name:n1", "name:n2"), ("name:n2", "name:n3"), ("name:n3", "name:n1"), ("name:n1", "name:n1")]
    says(empty_lake, "compound", *((one, other, "identifier") for one, other in circle))
    says(empty_lake, "compound", *((f"name:m{at}", f"name:m{at + 1}", "identifier") for at in range(50)))
    found = keys(empty_lake)
    assert found[("a", "n1")] == ("name:n1", "own")
    assert found[("b", "n3")] == ("name:n1", "synonym")
    assert found[("c", "m0")][0] == "name:m0"  # the end is more than six steps away
    ((names,),) = ask(empty_lake, "SELECT names FROM perturbation_matches")
    assert names == ["n1", "n3"]


def test_weaker_likeness_is_listed_with_its_reason(empty_lake: TableLake) -> None:
    given(
        empty_lake,
        {"study": "a", "name": "amlodipine", "inchikey": AMLODIPINE},
        {"study": "b", "name": "levo thing", "inchikey": LEVAMLODIPINE},
        {"study": "b", "name": "Amlodipine besylate"},
        {"study": "b", "name": "amlodipin"},
        {"study": "a", "name": "nicotine"},
        {"study": "b", "name": "(-)-Nicotine"},
        {"study": "a", "name": "sulphasalazine"},
        {"study": "b", "name": "sulfasalazine"},
        {"study": "a", "name": "latrunculin A"},
        {"study": "b", "name": "latrunculin B"},
        {"study": "a", "name": "AZD-11111111"},
        {"study": "b", "name": "AZD-11111112"},
        {"study": "a", "name": "NKX2-1", "gene": "NKX2-1", "type": "orf"},
        {"study": "b", "name": "NKX2.1", "gene": "NKX2.1", "type": "orf"},
    )
    rows = ask(empty_lake, "SELECT match, kind, reason, names FROM perturbation_matches ORDER BY ALL")
    assert rows == [
        ("connectivity", "compound", "first block of the InChIKey", ["amlodipine", "levo thing"]),
        ("near miss", "compound", "one letter", ["Amlodipine besylate", "amlodipin", "amlodipine"]),
        ("near miss", "compound", "punctuation", ["sulfasalazine", "sulphasalazine"]),
        ("near miss", "compound", "salt or hydrate", ["Amlodipine besylate", "amlodipine"]),
        ("near miss", "compound", "stereoisomer", ["(-)-Nicotine", "nicotine"]),
        ("near miss", "gene", "punctuation", ["NKX2-1", "NKX2.1"]),
    ]


def test_one_study_alone_matches_nothing(empty_lake: TableLake) -> None:
    given(
        empty_lake, {"study": "a", "name": "x"}, {"study": "a", "name": "X "}, {"study": "a", "name": "x hydrochloride"}
    )
    assert ask(empty_lake, "FROM perturbation_matches") == []


def test_names_may_be_anything(empty_lake: TableLake) -> None:
    names = ["'", '"', "\\", "%", "a" * 20_000, "x\ny", "\u202e", "(((", "[^a]", "$1", "\\0"]
    given(empty_lake, *({"study": study, "name": name} for study in "ab" for name in names))
    found = ask(empty_lake, "SELECT names, match, studies FROM perturbation_matches WHERE match = 'exact'")
    assert sorted(found) == sorted(([name], "exact", ["a", "b"]) for name in names)
