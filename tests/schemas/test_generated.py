"""The committed generated code is what the LinkML sources give, and says where it comes from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cytolake.schemas import generate
from cytolake.schemas.generated.tables import SCHEMA_SHA256

CHECKOUT = Path(__file__).resolve().parents[2]
GENERATED = [
    "schemas/generated/arrow.py",
    "schemas/generated/tables.py",
    "schemas/generated/models.py",
    "schemas/generated/schema.json",
    "schemas/generated/ontology.json",
    "docs/schema-reference.md",
]


@pytest.mark.parametrize("name", GENERATED)
def test_every_generated_file_names_its_generator_and_source(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    head = json.loads(text)["$comment"] if name.endswith(".json") else text.splitlines()[0]
    assert "schemas/generate.py" in head
    assert "do not edit" in head
    # Needs no linkml: sources that changed without a new run are found on every machine.
    assert f"schema sha256 {generate.sources_sha256()}" in head, "the schema changed: run `make schemas` and commit"


def test_the_hash_of_the_sources_is_known_at_run_time() -> None:
    assert generate.sources_sha256() == SCHEMA_SHA256


def test_generating_again_gives_the_committed_files(tmp_path: Path, linkml_python: Path) -> None:
    command = [str(linkml_python), str(CHECKOUT / "schemas" / "generate.py"), "--into", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert made == sorted(GENERATED)
    changed = [name for name in GENERATED if (tmp_path / name).read_bytes() != (CHECKOUT / name).read_bytes()]
    assert not changed, f"{', '.join(changed)} differ from the LinkML sources: run `make schemas` and commit"
