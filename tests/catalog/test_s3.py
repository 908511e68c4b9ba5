"""The same questions of a lake on an object store."""

from __future__ import annotations

from typing import Any

import pytest
from cytolake.errors import QueryError
from cytolake.store.root import init_root


@pytest.mark.slow
def test_questions_of_a_lake_on_s3(s3_url: str, shared_lake: Any) -> None:
    lake = type(shared_lake)(init_root(s3_url))
    lake.wells("one", "P1", {"A01": {"compound": "taxol"}, "A02": {}})
    lake.features("one", "P1", {"A01": [{"Nuclei_AreaShape_Area": 5.0}], "A02": [{"Nuclei_AreaShape_Area": 6.0}]})
    lake.features("one", "P2", {"A01": [{"Nuclei_AreaShape_Area": 7.0}]})
    result = lake.catalog.sql("SELECT plate_id, Nuclei_AreaShape_Area FROM nuclei WHERE compound = 'taxol'")
    assert result.fetchall() == [("P1", 5.0)]
    assert [scan.files_opened for scan in result.scans if scan.table.startswith("features/")] == [1]
    assert lake.catalog.sql("SELECT study_id, count(*) FROM nuclei GROUP BY 1").fetchall() == [("one", 3)]
    with pytest.raises(QueryError, match="lake's tables only"):
        lake.catalog.sql(f"FROM read_text('{s3_url}/lake.toml')").fetchall()
    # A file that is replaced while a question waits is found anew.
    waiting = lake.catalog.sql("SELECT sum(Nuclei_AreaShape_Area) FROM nuclei WHERE plate_id = 'P2'")
    before = set(lake.root.storage.list("tables/features"))
    lake.features("one", "P2", {"A01": [{"Nuclei_AreaShape_Area": 9.0}]})
    scan = lake.root.tables.open(next(s.table for s in waiting.scans if s.table.startswith("features/")))
    live = {uri.rpartition("/")[2] for uri in scan.file_uris()}
    for path in before:
        if path.endswith(".parquet") and path.rpartition("/")[2] not in live:
            lake.root.storage.delete(path)
    assert waiting.fetchall() == [(9.0,)]
