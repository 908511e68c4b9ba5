"""Names of features in other tools: each alias of a computed column leads back to it, and units are never mixed up."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path

import pytest
from cytolake.schemas.cellprofiler_names import unit_of
from cytolake.schemas.feature_names import translate
from cytolake.schemas.feature_synonyms import TOOLS, UNITS, synonyms
from cytolake.schemas.tool_names import TOOL_OF, split_harmony
from cytolake.transforms.features.dictionary import FeatureColumn, dictionary_rows, names_elsewhere
from cytolake.transforms.features.families import FAMILIES
from cytolake.transforms.features.family import Use

ROLES = ("DNA", "ER")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "feature-names.md"
#: Families and measures that a tool has, by name of family and operator; the rest it does not have at all.
HAS = {
    "nyxus": r"AreaShape_(Area|Center_[XY]|EulerNumber|Perimeter|Solidity|FormFactor|SpatialMoment_\d_\d|HuMoment_\d)"
    r"|Intensity_.*Intensity(Edge)?|Location_CenterMassIntensity_[XY]|Texture_.*|RadialDistribution_(FracAtD|RadialCV)"
    r"|Neighbors_(NumberOfNeighbors|PercentTouching|FirstClosestDistance)",
    "incarta": r"AreaShape_(Area|Perimeter|FormFactor|MajorAxisLength|BoundingBoxMinimum_X)"
    r"|Intensity_(Mean|Max|Std|Integrated)Intensity",
    "harmony": r"AreaShape_(Area|MajorAxisLength|MinorAxisLength|Perimeter)"
    r"|Intensity_(Mean|Max|Min|Median|Std)Intensity",
}


def columns(object_set: str) -> list[FeatureColumn]:
    found: list[FeatureColumn] = []
    for family in FAMILIES.values():
        parameters = {name: one.default for name, one in family.parameters.items()}
        if "zernike" in parameters:
            parameters["zernike"] = "magnitude-and-phase"
        found += family.columns(
            Use(
                object_set=object_set,
                roles=() if family.channels == "none" else ROLES,
                pairs=tuple(combinations(ROLES, 2)) if family.channels == "pairs" else (),
                parameters=parameters,
                related=(("cells", "child"),) if object_set == "nuclei" else (("nuclei", "parent"),),
            )
        )
    return found


@pytest.mark.parametrize("object_set", ["nuclei", "cells", "cytoplasm", "spots"])
def test_every_alias_leads_back_to_its_column(object_set: str) -> None:
    for column in columns(object_set):
        channels = [role for role in (column.channel_role, column.second_channel_role) if role]
        for alias in names_elsewhere(column):
            tool, _, name = alias.partition(":")
            if tool == "scikit-image":
                continue
            back = translate(tool, name, object_set, known_channels=channels)
            assert back.computed is not None, (column.name, alias)
            assert fnmatchcase(column.name, back.computed), (column.name, alias, back)
            assert (back.family, back.operator) == (column.family, column.operator), (column.name, alias)
            if back.equal in ("same", "close"):
                assert back.name == column.name, (column.name, alias)
                assert back.unit == column.unit, (column.name, alias)
            else:
                assert back.name not in (None, column.name), (column.name, alias)


def test_every_column_has_its_names_in_tools_that_have_it() -> None:
    for column in columns("nuclei"):
        tools = {alias.partition(":")[0] for alias in names_elsewhere(column)}
        assert ("cellprofiler" in tools) == (column.operator != "Slope"), column.name
        measured = f"{column.family}_{column.operator}"
        if column.family not in ("Distance", "Children") and not measured.startswith("Location_Center_"):
            assert "cp_measure" in tools, column.name
        for tool, pattern in HAS.items():
            if re.fullmatch(pattern, measured):
                assert tool in tools, (tool, column.name)


def test_the_dictionary_has_them() -> None:
    rows = dictionary_rows(columns("nuclei"), feature_set_hash="0" * 64, run_id="r")
    area = next(row for row in rows if row["column"] == "Nuclei_AreaShape_Area")
    assert area["aliases"] == [
        "cp_measure:Area", "scikit-image:area", "cellprofiler:AreaShape_Area", "nyxus:AREA_PIXELS_COUNT",
        "nyxus:AREA_UM2", "incarta:Nuclei Area", "harmony:Nucleus Area [µm²]", "harmony:Nucleus Area [px²]",
    ]  # fmt: skip


def test_units_are_those_of_the_dictionary() -> None:
    for column in columns("nuclei"):
        if column.family not in ("Children",):
            assert unit_of(column.family, column.operator) == column.unit, column.name


@pytest.mark.parametrize(
    ("dialect", "column", "given", "expected"),
    [
        # CellProfiler: channels are the user's.
        ("cellprofiler", "AreaShape_Area", {"object_set": "nuclei"}, "Nuclei_AreaShape_Area"),
        ("cellprofiler", "Cells_AreaShape_Area", {}, "Cells_AreaShape_Area"),
        ("cellprofiler", "Cells_Intensity_MeanIntensity_OrigBlue", {"roles": {"OrigBlue": "DNA"}},
         "Cells_Intensity_MeanIntensity_DNA"),
        ("cellprofiler", "Cells_Intensity_MeanIntensity_dna", {}, "Cells_Intensity_MeanIntensity_DNA"),
        ("cellprofiler", "Cells_Intensity_MeanIntensity_mitochondria", {}, "Cells_Intensity_MeanIntensity_Mito"),
        ("cellprofiler", "Cells_Intensity_MeanIntensity_Alexa568", {}, "Cells_Intensity_MeanIntensity_Alexa568"),
        ("cellprofiler", "Cells_Intensity_MeanIntensity_Corr_Blue", {}, "Cells_Intensity_MeanIntensity_CorrBlue"),
        ("cellprofiler", "Cells_Intensity_MeanIntensity_488", {}, None),
        ("cellprofiler", "Nuclei_Correlation_Correlation_ER_DNA", {}, "Nuclei_Correlation_Correlation_DNA_ER"),
        ("cellprofiler", "Nuclei_Correlation_K_ER_DNA", {}, "Nuclei_Correlation_K_ER_DNA"),
        ("cellprofiler", "Nuclei_Correlation_K_Orig_A_Orig_B", {"known_channels": ("Orig_A", "Orig_B")},
         "Nuclei_Correlation_K_OrigA_OrigB"),
        ("cellprofiler", "Nuclei_Correlation_K_Orig_A_Orig_B", {}, None),
        ("cellprofiler", "Nuclei_Texture_Contrast_RNA_3_00_256", {}, "Nuclei_Texture_Contrast_RNA_3_00_256"),
        ("cellprofiler", "Nuclei_Texture_Contrast_OrigBlue_3_0", {"roles": {"OrigBlue": "DNA"}},
         "Nuclei_Texture_Contrast_DNA_3_0"),
        ("cellprofiler", "Image_Count_Nuclei", {}, "Nuclei_Count"),
        ("cellprofiler", "Image_StDev_Nuclei_AreaShape_Area", {}, "Nuclei_AreaShape_Area_StdDev"),
        ("cellprofiler", "Nuclei_Math_Ratio", {}, None),
        # cp_measure: keys of its functions, and columns of its featurizer.
        ("cp_measure", "Area", {"object_set": "cells"}, "Cells_AreaShape_Area"),
        ("cp_measure", "Intensity_MeanIntensity__ER", {"object_set": "cells"}, "Cells_Intensity_MeanIntensity_ER"),
        ("cp_measure", "Correlation_Manders_2__ER__DNA", {"object_set": "cells"}, "Cells_Correlation_Manders_DNA_ER"),
        ("cp_measure", "Correlation_Costes_1__ER__DNA", {"object_set": "cells"},
         "Cells_Correlation_Costes_ER_DNA_cp_measure"),
        ("cp_measure", "Intensity_MeanIntensity", {"object_set": "cells"}, None),
        ("cp_measure", "Nonsense", {"object_set": "cells"}, None),
        # Nyxus: no channel in the name.
        ("nyxus", "AREA_PIXELS_COUNT", {"object_set": "nuclei"}, "Nuclei_AreaShape_Area"),
        ("nyxus", "AREA_UM2", {"object_set": "nuclei"}, "Nuclei_AreaShape_Area_um2"),
        ("nyxus", "MEAN", {"object_set": "nuclei", "known_channels": ("DNA",)},
         "Nuclei_Intensity_MeanIntensity_DNA_grey"),
        ("nyxus", "MEAN", {"object_set": "nuclei"}, None),
        ("nyxus", "PERIMETER", {"object_set": "nuclei"}, "Nuclei_AreaShape_Perimeter_nyxus"),
        ("nyxus", "SPAT_MOMENT_12", {"object_set": "nuclei"}, "Nuclei_AreaShape_SpatialMoment_2_1"),
        ("nyxus", "GLRLM_SRE", {"object_set": "nuclei"}, None),
        # InCarta.
        ("incarta", "Nuclei Area wv1", {}, "Nuclei_AreaShape_Area_um2"),
        ("incarta", "Primary Target Intensity wv3", {"roles": {"wv3": "Mito"}},
         "PrimaryTarget_Intensity_MeanIntensity_Mito_grey"),
        ("incarta", "Primary Target Intensity wv3", {}, "PrimaryTarget_Intensity_MeanIntensity_wv3_grey"),
        ("incarta", "F Actin Total Area wv2", {}, "FActin_AreaShape_TotalArea_incarta"),
        # Harmony and Columbus.
        ("harmony", "Nuclei - Nucleus Area [µm²]", {}, "Nuclei_AreaShape_Area_um2"),
        ("columbus", "Nucleus Area [px²]", {}, "Nuclei_AreaShape_Area"),
        ("harmony", "Cell Length [µm]", {}, "Cells_AreaShape_MajorAxisLength_um"),
        ("harmony", "Nuclei - Nucleus Area [µm²] - StdDev per Well", {}, "Nuclei_AreaShape_Area_um2_StdDev"),
        ("harmony", "Nuclei - Nucleus Area [µm²] - Median per Well", {}, "Nuclei_AreaShape_Area_um2_Median"),
        ("harmony", "Nuclei - Intensity Cytoplasm Alexa 488 Mean", {"roles": {"alexa 488": "ER"}},
         "Cytoplasm_Intensity_MeanIntensity_ER_grey"),
        ("harmony", "Nuclei Selected - Nucleus Area [µm²]", {}, "NucleiSelected_AreaShape_Area_um2"),
        ("harmony", "Nuclei Selected - Nucleus Area [µm²]", {"object_set": "nucleiSelected"},
         "Nuclei_AreaShape_Area_um2"),
        ("harmony", "Nuclei Selected - Cytoplasm Area [µm²]", {}, "NucleiSelectedCytoplasm_AreaShape_Area_um2"),
        ("harmony", "Nuclei - Number of Objects", {}, "Nuclei_Count"),
        ("harmony", "Nuclei - Nucleus Roundness", {}, "Nuclei_AreaShape_Roundness_harmony"),
        ("harmony", "Nucleus DNA SER Spot 1 px", {}, "Nuclei_Texture_SERSpot_DNA_1_harmony"),
        ("harmony", "Something else", {}, None),
        ("idr", "Nucleus Area [um_] - Mean per Well", {}, "Nuclei_AreaShape_Area_um2"),
        ("idr", "Nucleus SER Edge 0 px Actin- Mean per Well", {}, "Nuclei_Texture_SEREdge_Actin_0_harmony"),
        ("idr", "Cytoplasm Haralick Contrast 1px  Tubulin  - Mean per Well", {},
         "Cytoplasm_Texture_HaralickContrast_Tubulin_1_harmony"),
        ("idr", "Nuclear Region YAP/TAZ - Mean per Well", {}, None),
        # DeepProfiler: numbers of an embedding keep their names.
        ("deepprofiler", "efficientnet_12", {}, "efficientnet_12"),
        ("deepprofiler", "Location_Center_X", {"object_set": "cells"}, "Cells_Location_Center_X"),
    ],
)  # fmt: skip
def test_translation(dialect: str, column: str, given: dict, expected: str | None) -> None:
    found = translate(dialect, column, **given)
    assert found.name == expected
    assert f"{dialect}:{column}" in found.aliases
    assert found.family
    assert found.operator


@pytest.mark.parametrize(
    "unit", ["[µm²]", "[μm²]", "[um2]", "[um^2]", "[um_]", "[Âµm²]", "[¬µm2]", "[?m?]", "[\ufffdm\ufffd]"]
)
def test_broken_units_are_mended(unit: str) -> None:
    assert split_harmony(f"Nucleus  Area {unit}") == (None, "Nucleus Area [µm²]", None)
    found = translate("harmony", f"Nucleus Area {unit}")
    assert (found.name, found.unit) == ("Nuclei_AreaShape_Area_um2", "um2")


def test_what_is_scaled_or_defined_otherwise_is_never_our_column() -> None:
    ours = {column.name for column in columns("nuclei")}
    for one in synonyms():
        if one.equal not in ("same", "close"):
            assert one.suffix, one
        if one.unit:
            assert one.unit in UNITS, one
        if one.equal in ("scaled", "different", "close"):
            assert one.note, one
    for name in ("AREA_UM2", "PERIMETER", "MAJOR_AXIS_LENGTH", "ORIENTATION", "DIAMETER_EQUAL_AREA", "HU_M1"):
        found = translate("nyxus", name, "nuclei")
        assert found.name not in ours
        assert found.computed in ours
        assert found.definition


def test_every_row_of_the_table_can_be_reached() -> None:
    """No row is hidden by one that is more explicit or comes before it."""
    places = {
        "c": "DNA", "c2": "ER", "region": "Nucleus", "wave": " wv1", "axis": "X", "way": "5", "word": "MeanIntensity",
        "shape": "Area", **dict.fromkeys("abdnpq", "1"),
    }  # fmt: skip
    for one in synonyms():
        if one.theirs.startswith(("Neighbors_{word}", "Location_{word}")):
            continue
        name = re.sub(r"\{(\w+)\}", lambda place: places[place[1]], one.theirs)
        channels = ("DNA", "ER") if "{c2}" in one.ours else ("DNA",) if "{c}" in one.ours else ()
        found = translate(one.tool, name, "nuclei", known_channels=channels)
        assert found.equal == one.equal, (one, found)


def test_tools_have_dialects() -> None:
    assert set(TOOLS) <= set(TOOL_OF.values())
