"""Pictures of answers: they show what the rows say, refuse what they cannot show, and are always the same."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from cytolake.catalog.plots import KINDS, plot
from cytolake.catalog.plots.answer import Answer, Options
from cytolake.catalog.plots.embedding import _placed
from cytolake.cli.main import main
from cytolake.errors import QueryError, UsageError
from PIL import Image

FOREST = """
SELECT * FROM (VALUES
  ('A', 'ECT2', 12.6, 10.1, 15.2, 'study'), ('B', 'ECT2', 11.7, 9.0, 14.0, 'study'),
  ('pooled', 'ECT2', 12.1, 10.5, 13.5, 'pooled'), ('future', 'ECT2', 12.1, 8.5, 16.5, 'prediction'),
  ('A', 'R$HO$ <b>&', NULL, NULL, NULL, 'study')
) t(label, "group", estimate, ci_low, ci_high, kind)"""
VOLCANO = (
    "SELECT 'g' || i AS gene, i - 5.0 AS effect, [0.5, 0.01, 0.0, NULL, 0.2, 0.3, 0.04, 1.0, 0.9, 0.001][i + 1] AS p"
)
VOLCANO += " FROM range(10) t(i)"
PLATE = (
    "SELECT 'P1' AS plate_id, well_id, value FROM (VALUES ('A01', 1.0), ('B03', -2.0), ('H12', NULL)) t(well_id, value)"
)
POINTS = "SELECT i AS x, i % 3 AS y, ['a', 'b', NULL][i % 3 + 1] AS compound FROM range(9) t(i)"
QUERIES = {"forest": FOREST, "heatmap": PLATE, "volcano": VOLCANO, "embedding": POINTS}


def draw(lake: Any, kind: str, query: str | None = None, form: Any = "svg", **options: Any) -> bytes:
    return plot(lake.catalog.sql(query or QUERIES[kind]), kind, format=form, options=options)


def texts(picture: bytes) -> str:
    return " | ".join(re.findall(r"<text[^>]*>(?:<[^>]*>)*([^<]*)", picture.decode()))


def test_a_notebook_shows_a_picture(shared_lake: Any) -> None:
    png, svg = (plot(shared_lake.catalog.sql(VOLCANO), "volcano", format=form) for form in ("png", "svg"))
    assert Image.open(io.BytesIO(png._repr_png_() or b"")).format == "PNG"
    assert ElementTree.fromstring(svg._repr_svg_() or "").tag.endswith("svg")
    assert png._repr_svg_() is None
    assert svg._repr_png_() is None
    assert repr(svg) == f"<SVG picture, {len(svg):,} bytes>"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_picture(shared_lake: Any, kind: str) -> None:
    assert draw(shared_lake, kind) == draw(shared_lake, kind)
    picture = draw(shared_lake, kind, form="png")
    assert picture == draw(shared_lake, kind, form="png")
    with Image.open(io.BytesIO(picture)) as image:
        assert min(image.size) > 100
        assert len(image.getcolors(1 << 20) or []) > 3


def test_a_forest_plot_says_its_rows(shared_lake: Any) -> None:
    said = texts(draw(shared_lake, "forest", xlabel="robust z"))
    for text in ("12.60 [10.10, 15.20]", "ECT2", "R$HO$ &lt;b&gt;&amp;", "no estimate", "robust z", "1 row not drawn"):
        assert text in said, text


def test_intervals_come_from_standard_errors_where_there_are_no_bounds(shared_lake: Any) -> None:
    said = texts(draw(shared_lake, "forest", "SELECT 'A' AS gene, 2.0 AS estimate, 0.5 AS se"))
    assert "2.00 [1.02, 2.98]" in said


def test_columns_are_found_by_name_or_as_a_setting_says(shared_lake: Any) -> None:
    query = "SELECT 'A' AS who, 2.0 AS d, 1.0 AS lo, 3.0 AS hi"
    assert "2.00 [1.00, 3.00]" in texts(
        draw(shared_lake, "forest", query, label="who", estimate="d", ci_low="lo", ci_high="HI")
    )
    with pytest.raises(QueryError, match="no column 'label'") as caught:
        draw(shared_lake, "forest", query)
    assert "--set label=COLUMN" in str(caught.value.hint)
    with pytest.raises(QueryError, match="no column 'whoo'; did you mean 'who'"):
        draw(shared_lake, "forest", query, label="whoo")
    with pytest.raises(QueryError, match="not numbers"):
        draw(shared_lake, "forest", query, label="who", estimate="who", ci_low="lo", ci_high="hi")


def test_a_heat_map_leaves_wells_without_a_value_grey(shared_lake: Any) -> None:
    from cytolake.catalog.plots import heatmap

    answer = Answer.take(shared_lake.catalog.sql(PLATE), most=100)
    figure = heatmap.draw(answer, Options.read("heatmap", {}, heatmap.SETTINGS))
    grid = figure.axes[0].images[0].get_array()
    assert grid.shape == (8, 12)
    assert (grid[0, 0], grid[1, 2]) == (1.0, -2.0)
    assert grid.mask.sum() == 94
    assert figure.axes[0].images[0].get_clim() == (-figure.axes[0].images[0].get_clim()[1], 2.0 - 0.03)


def test_two_rows_of_one_well_are_not_averaged_silently(shared_lake: Any) -> None:
    with pytest.raises(QueryError, match="P1 A01 have several rows"):
        draw(shared_lake, "heatmap", f"{PLATE} UNION ALL SELECT 'P1', 'A01', 3.0")


@pytest.mark.parametrize(
    ("kind", "query", "options", "said"),
    [
        (
            "heatmap",
            "SELECT 'P' AS plate_id, w AS well_id, 1.0 AS v FROM (VALUES ('A1'), ('A01')) t(w)",
            {},
            "A01 have",
        ),
        ("heatmap", PLATE, {"columns": 0}, "not at least 1"),
        ("heatmap", PLATE, {"low": 2, "high": 1}, "not below high"),
        ("forest", "SELECT 'a' AS label, 1 AS estimate, 2 AS ci_low, 0 AS ci_high", {}, "ends before"),
        ("forest", "SELECT 'a' AS label, 1 AS estimate, -2 AS se", {}, "below 0"),
        ("embedding", "SELECT 1e308 AS x, 0 AS y", {}, "no axis holds"),
        ("heatmap", PLATE, {"center": 1e308}, "not finite"),
    ],
)
def test_what_would_be_drawn_wrongly_is_told(
    shared_lake: Any, kind: str, query: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises((QueryError, UsageError), match=said):
        draw(shared_lake, kind, query, **options)


def test_whole_numbers_of_any_size_are_drawn(shared_lake: Any) -> None:
    assert draw(shared_lake, "embedding", "SELECT 18446744073709551615::UBIGINT AS x, 9007199254740993 AS y")


@pytest.mark.parametrize("kind", KINDS)
def test_any_text_gives_a_picture(shared_lake: Any, kind: str) -> None:
    text = "'a' || chr(1) || chr(65535) || '\\n<&%$' || repeat('long', 1000)"
    query = {
        "forest": f'SELECT {text} AS label, {text} AS "group", 1 AS estimate, 1 AS se',
        "heatmap": f"SELECT {text} AS plate_id, 'A01' AS well_id, 1 AS v",
        "volcano": f"SELECT {text} AS label, 1 AS effect, 1e-9 AS p",
        "embedding": f"SELECT {text} AS colour, 1 AS x, 1 AS y",
    }[kind]
    picture = plot(shared_lake.catalog.sql(query), kind, format="svg", title="b\x00 $x$")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert draw(shared_lake, kind, query, "png")


def test_plates_of_two_studies_are_apart(shared_lake: Any) -> None:
    query = (
        "SELECT * FROM (VALUES ('one', 'P1', 'A01', 1.0), ('two', 'P1', 'A01', 2.0)) t(study_id, plate_id, well_id, v)"
    )
    said = texts(draw(shared_lake, "heatmap", query))
    assert "one/P1" in said
    assert "two/P1" in said


def test_a_volcano_counts_what_passes_and_what_is_missing(shared_lake: Any) -> None:
    said = texts(draw(shared_lake, "volcano"))
    assert "4 of 9 pass p ≤ 0.05" in said
    assert "1 with p = 0 as ▲" in said
    assert "1 row not drawn: no effect or no p" in said
    assert "g2" in said
    assert "3 of 9 pass p ≤ 0.05 and |effect| ≥ 2" in texts(draw(shared_lake, "volcano", effect_threshold="2"))
    with pytest.raises(QueryError, match="outside 0 to 1"):
        draw(shared_lake, "volcano", "SELECT 1.0 AS effect, 2.0 AS p")
    with pytest.raises(QueryError, match="no row has an effect and a p"):
        draw(shared_lake, "volcano", "SELECT NULL::DOUBLE AS effect, 0.5 AS p")


def test_an_embedding_shows_groups_and_numbers(shared_lake: Any) -> None:
    said = texts(draw(shared_lake, "embedding"))
    assert "9 points" in said
    assert "grey: none" in said
    assert "9 points" in texts(draw(shared_lake, "embedding", color="x"))


def test_components_are_those_of_the_correlation_matrix(shared_lake: Any) -> None:
    query = (
        "SELECT sin(i) AS a, sin(i) + 0.1 * cos(3 * i) AS b, cos(i) AS c, 1.0::DOUBLE AS d, nullif(i, 3)::DOUBLE AS e"
    )
    answer = Answer.take(shared_lake.catalog.sql(f"{query} FROM range(20) t(i)"), most=100)
    points, names, said = _placed(answer, Options("embedding", {"method": "pca", "seed": 0}))
    used = np.column_stack([answer.numbers(name) for name in "abc"])
    values, vectors = np.linalg.eigh(np.corrcoef(used.T))
    expected = (used - used.mean(0)) / used.std(0) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-9)
    assert names[0] == f"PC 1 ({values[-1] / 3:.0%})"
    assert said == ["of 3 columns", "2 columns left out: empty in some row, or constant"]
    with pytest.raises(QueryError, match="are too few"):
        draw(shared_lake, "embedding", "SELECT 1.0 AS a, 2.0 AS b")


def test_what_cannot_be_drawn_is_told(shared_lake: Any) -> None:
    with pytest.raises(UsageError, match="no plot 'forrest'; did you mean 'forest'"):
        draw(shared_lake, "forrest", FOREST)
    with pytest.raises(UsageError, match="has no setting 'xlable'; did you mean 'xlabel'"):
        draw(shared_lake, "forest", xlable="z")
    with pytest.raises(UsageError, match="'few' is not a whole number"):
        draw(shared_lake, "volcano", labels="few")
    with pytest.raises(UsageError, match="not finite"):
        draw(shared_lake, "volcano", p_threshold="nan")
    with pytest.raises(QueryError, match="no rows"):
        draw(shared_lake, "forest", f"{FOREST} WHERE false")
    with pytest.raises(QueryError, match="more than 200,000 rows"):
        draw(shared_lake, "embedding", "SELECT i AS x, i AS y FROM range(300000) t(i)")
    with pytest.raises(QueryError, match="cannot be read in one picture"):
        draw(shared_lake, "forest", "SELECT 'a' AS label, 1.0 AS estimate, 0.1 AS se FROM range(500)")
    with pytest.raises(UsageError, match="png or svg"):
        draw(shared_lake, "forest", form="pdf")


def test_the_verb_writes_the_picture(shared_lake: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "forest.svg"
    call = ["plot", "forest", FOREST, "--output", str(target), "--lake", shared_lake.root.url, "--set"]
    assert main([*call, "xlabel=z"]) == 0
    assert target.read_bytes() == draw(shared_lake, "forest", xlabel="z")
    assert main([*call, "xlabel"]) == 2
    assert "NAME=VALUE" in capfd.readouterr().err
