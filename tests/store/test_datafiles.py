"""Parquet files as the log describes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake.errors import InvalidDataError
from cytolake.schemas.tables import arrow_schema
from cytolake.store.datafiles import (
    DataFile,
    describe_data_file,
    fingerprint,
    partition_folder,
    write_data_batches,
    write_data_file,
    write_rows,
)
from cytolake.store.root import LakeRoot

Rows = Callable[..., pa.Table]


def test_the_log_entry_is_what_the_footer_says(lake: LakeRoot, objects: Rows) -> None:
    file = write_data_file(lake.storage, "t", objects("P1", 4))
    assert file.rows == 4
    assert file.partition_values == {"study_id": "pilot"}
    assert file.stats["plate_id"] == ("P1", "P1", 0)
    assert file.stats["object_id"] == (1, 4, 0)
    assert not any(name.startswith("Nuclei") for name in file.stats)
    assert "parent_id" not in file.stats
    assert describe_data_file(lake.storage, "t", file.path, partition_values=file.partition_values) == file
    assert DataFile.from_json(file.to_json()) == file


def test_batches_make_the_same_file_as_a_table(lake: LakeRoot, objects: Rows) -> None:
    rows = objects("P1", 10)
    whole = write_data_file(lake.storage, "t", rows)
    parts = [rows.slice(0, 0), rows.slice(0, 7), rows.slice(7, 3)]
    batched = write_data_batches(lake.storage, "t", rows.schema, parts)
    assert replace(batched, path="", size=0) == replace(whole, path="", size=0)
    with pytest.raises(InvalidDataError, match="at least one row"):
        write_data_batches(lake.storage, "t", rows.schema, [])


def test_rows_of_two_partitions_are_two_files(lake: LakeRoot, objects: Rows) -> None:
    rows = pa.concat_tables([objects("P1", study_id="a"), objects("P2", study_id="b/ü"), objects("P3", study_id="a")])
    with pytest.raises(InvalidDataError, match="study_id"):
        write_data_file(lake.storage, "t", rows)
    assert not lake.storage.exists("tables/t")
    first, second = write_rows(lake.storage, "t", rows)
    assert (first.rows, second.rows) == (6, 3)
    assert second.path.startswith("study_id=b%2F%C3%BC/")
    batches = [rows.slice(0, 3), rows.slice(3, 3)]
    with pytest.raises(InvalidDataError, match="one study_id"):
        write_data_batches(lake.storage, "u", rows.schema, batches)
    assert not lake.storage.list("tables/u")


def test_partition_folders_hold_any_value() -> None:
    assert partition_folder({}) == ""
    assert partition_folder({"s": "a b/ü", "t": None}) == "s=a%20b%2F%C3%BC/t=__HIVE_DEFAULT_PARTITION__/"


def test_the_fingerprint_is_of_names_and_types_not_of_order() -> None:
    one = pa.schema([("a", pa.int32()), ("b", pa.float32())])
    assert fingerprint(one) == fingerprint(pa.schema([one.field("b"), one.field("a").with_nullable(False)]))
    assert fingerprint(one) != fingerprint(one.set(0, pa.field("a", pa.int64())))
    assert fingerprint(one) != fingerprint(one.append(pa.field("c", pa.int32())))


def test_floats_have_neither_dictionary_nor_statistics(lake: LakeRoot, objects: Rows) -> None:
    file = write_data_file(lake.storage, "t", objects("P1", 100))
    footer = pq.read_metadata(f"{lake.storage.uri('tables/t')}/{file.path}")
    columns = [footer.row_group(0).column(i) for i in range(footer.num_columns)]
    by_name = {column.path_in_schema: column for column in columns}
    feature, well = by_name["Nuclei_AreaShape_Area"], by_name["well_id"]
    assert feature.compression == well.compression == "ZSTD"
    assert not any("DICTIONARY" in encoding for encoding in feature.encodings)
    assert feature.statistics is None
    assert "RLE_DICTIONARY" in well.encodings
    assert well.statistics is not None


def test_every_declared_table_can_be_written_and_described(lake: LakeRoot) -> None:
    """Nested columns included: lists, structs and maps have Parquet names of their own."""
    schema = arrow_schema("images")
    source = {"file": "a.tiff", "page": 0, "channel_index": 0, "z": 0, "timepoint": 0, "status": "ok"}
    row = {f.name: _example(f.type) for f in schema} | {"source_files": [source, source]}
    rows = pa.Table.from_pylist([row], schema=schema)
    file = write_data_file(lake.storage, "images", rows)
    again = pq.read_table(f"{lake.storage.uri('tables/images')}/{file.path}", partitioning=None)
    assert again["source_files"].to_pylist()[0][1]["file"] == "a.tiff"
    assert describe_data_file(lake.storage, "images", file.path, partition_values=file.partition_values) == file


def _example(kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return "x"
    return None if pa.types.is_timestamp(kind) or pa.types.is_nested(kind) else 1


def test_columns_of_nulls_have_no_bounds(lake: LakeRoot, objects: Rows) -> None:
    rows = objects("P1").set_column(3, "well_id", pa.nulls(3, pa.string()))
    file = write_data_file(lake.storage, "t", rows)
    assert file.stats["well_id"] == (None, None, 3)
    assert describe_data_file(lake.storage, "t", file.path, partition_values=file.partition_values) == file
