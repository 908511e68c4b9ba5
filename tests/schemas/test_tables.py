"""Tables and their Arrow schemas."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError
from cytolake.schemas.identifiers import IDENTITY_COLUMNS
from cytolake.schemas.tables import SCHEMA_VERSION, TABLES, arrow_schema, class_schema, feature_table_schema

STRING, INT32, INT64 = pa.string(), pa.int32(), pa.int64()
MOMENT = pa.timestamp("us", tz="UTC")
IDENTITY = {
    name: STRING if name in ("study_id", "plate_id", "well_id", "object_set", "run_id") else INT32
    for name in IDENTITY_COLUMNS
}


def test_the_tables_of_a_lake() -> None:
    assert sorted(TABLES) == [
        "acquisitions",
        "attached_tables",
        "biosamples",
        "channels",
        "current_sets",
        "dose_responses",
        "feature_dictionary",
        "feature_quality",
        "feature_sets",
        "images",
        "labels",
        "perturbations",
        "plates",
        "profile_fits",
        "profile_sets",
        "quality",
        "releases",
        "runs",
        "studies",
        "synonyms",
        "tracks",
        "well_perturbations",
        "wells",
    ]


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_column_says_what_it_is(table: str) -> None:
    schema = arrow_schema(table)
    assert schema.metadata[b"cytolake.schema_version"] == SCHEMA_VERSION.encode()
    assert schema.metadata[b"cytolake.class"] == TABLES[table].class_name.encode()
    for field in schema:
        assert field.metadata[b"slot_uri"], field.name
        assert field.metadata[b"description"], field.name
        assert field.metadata[b"need"] in (b"required", b"recommended", b"optional")
        assert field.nullable == (field.metadata[b"need"] != b"required")


@pytest.mark.parametrize("table", sorted(TABLES))
def test_keys_and_partitions_are_required_columns(table: str) -> None:
    schema, spec = arrow_schema(table), TABLES[table]
    assert all(not schema.field(name).nullable for name in (*spec.key, *spec.partition_by))


@pytest.mark.parametrize("table", sorted(TABLES))
def test_identity_columns_have_one_type_everywhere(table: str) -> None:
    for field in arrow_schema(table):
        if field.name in IDENTITY:
            assert field.type == IDENTITY[field.name], field.name


def test_types_of_every_kind() -> None:
    wells, runs, images = arrow_schema("wells"), arrow_schema("runs"), arrow_schema("images")
    assert wells.field("attributes").type == pa.map_(STRING, STRING)
    assert wells.field("concentration_um").type == pa.float64()
    assert wells.field("excluded").type == pa.bool_()
    assert wells.field("control_type").type == STRING
    assert arrow_schema("channels").field("role").type == STRING
    assert arrow_schema("studies").field("release_date").type == pa.date32()
    assert runs.field("started_at").type == MOMENT
    assert runs.field("plate_ids").type == pa.list_(STRING)
    assert runs.field("inputs").type.value_type.field("version").type == INT64
    source = images.field("source_files").type.value_type
    assert [source.field(i).name for i in range(source.num_fields)] == [
        "file",
        "page",
        "channel_index",
        "z",
        "timepoint",
        "status",
        "bytes",
        "sha256",
        "reason",
    ]
    assert not source.field("file").nullable
    assert source.field("sha256").nullable
    assert source.field("bytes").type == INT64


def test_units_are_ucum() -> None:
    channels, acquisitions = arrow_schema("channels"), arrow_schema("acquisitions")
    assert channels.field("excitation_nm").metadata[b"unit"] == b"nm"
    assert channels.field("exposure_ms").metadata[b"unit"] == b"ms"
    assert acquisitions.field("pixel_size_x_um").metadata[b"unit"] == b"um"
    assert acquisitions.field("temperature_c").metadata[b"unit"] == b"Cel"
    assert arrow_schema("wells").field("concentration_um").metadata[b"unit"] == b"umol/L"


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_column_named_for_a_unit_declares_it(table: str) -> None:
    units = {
        "_um": (b"um", b"umol/L"),
        "_nm": (b"nm",),
        "_ms": (b"ms",),
        "_h": (b"h",),
        "_s": (b"s",),
        "_mm": (b"mm",),
        "_percent": (b"%",),
    }
    for field in arrow_schema(table):
        for ending, allowed in units.items():
            if field.name.endswith(ending) and field.type == pa.float64():
                assert field.metadata.get(b"unit") in allowed, field.name


def test_a_feature_table_is_identity_and_nullable_32_bit_floats() -> None:
    schema = feature_table_schema(["Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA"])
    assert schema.names == [
        "study_id",
        "plate_id",
        "acquisition_id",
        "well_id",
        "field_id",
        "timepoint",
        "object_id",
        "parent_id",
        "run_id",
        "Nuclei_AreaShape_Area",
        "Nuclei_Intensity_MeanIntensity_DNA",
    ]
    assert schema.types[-2:] == [pa.float32(), pa.float32()]
    assert schema.field("parent_id").nullable
    assert not schema.field("object_id").nullable
    assert schema.metadata == class_schema("ObjectRow").metadata


def test_an_unknown_table_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        arrow_schema("well")
    assert "wells" in str(caught.value.hint)
