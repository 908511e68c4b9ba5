"""The flat-field text of Harmony: its odd grammar, and the image that a polynomial describes."""

from __future__ import annotations

import contextlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.ingest.vendors.acapella import AcapellaError, evaluate, parse, to_json
from cytolake.ingest.vendors.harmony import HarmonyReader
from hypothesis import given, settings
from hypothesis import strategies as st


def test_reads_what_harmony_writes() -> None:
    text = (
        "{Background: {Character: NonFlat, Mean: 1039.144, NonFlatness: {Random: INF, Other: -INF}, Profile: "
        "{Coefficients: [[1.2], [-0.1, 2e-3]], Dims: [1080, 1080], Type: Polynomial}}, Channel: 1, "
        'ChannelName: Fluorescein (FITC), Note: "405ex, 570-630-em)", Empty: NaN, List: [], Version: Acapella:2013}'
    )
    found = parse(text)
    assert found["Background"]["Profile"]["Coefficients"] == [[1.2], [-0.1, 0.002]]
    assert found["Background"]["Profile"]["Dims"] == [1080, 1080]
    assert (found["Channel"], found["ChannelName"], found["Note"]) == (1, "Fluorescein (FITC)", "405ex, 570-630-em)")
    assert found["Version"] == "Acapella:2013"
    assert math.isnan(found["Empty"])
    assert found["List"] == []
    assert json.loads(json.dumps(to_json(found), allow_nan=False)) == to_json(found)
    assert to_json(found)["Background"]["NonFlatness"] == {"Random": "INF", "Other": "-INF"}
    assert to_json(found)["Empty"] is None


def test_reads_json_as_well() -> None:
    assert parse('{"Channel": 2, "ChannelName": "a \\"b\\"", "x": {"Type": "Identity"}}') == {
        "Channel": 2,
        "ChannelName": 'a "b"',
        "x": {"Type": "Identity"},
    }
    assert parse('{N: "a ""b"", c"}') == {"N": 'a "b", c'}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected '{' at character 0"),
        ("{a: 1", "expected ',' or '}' at character 5, found the end"),
        ("{a: }", "expected a value"),
        ("{a 1}", "expected a key"),
        ("{a: [1, 2}", "expected ',' or ']'"),
        ('{a: "b', "expected a closing quote"),
        ("{a: 1} x", "expected the end"),
        ("{a: " * 40 + "1" + "}" * 40, "nested deeper"),
    ],
)
def test_says_where_it_stops(text: str, said: str) -> None:
    with pytest.raises(AcapellaError, match=re.escape(said)):
        parse(text)


@given(st.text(alphabet='{}[]:,"ab1 .-NaINF\\', max_size=60))
@settings(max_examples=200, deadline=None)
def test_never_fails_otherwise(text: str) -> None:
    with contextlib.suppress(AcapellaError):
        json.dumps(to_json(parse(text)), allow_nan=False)


def polynomial(**values: Any) -> dict[str, Any]:
    return {"Type": "Polynomial", "Origin": [3.5, 2.5], "Scale": [0.125, 0.25], "Dims": [8, 6]} | values


def test_evaluates_terms_by_total_degree() -> None:
    image = evaluate(polynomial(Coefficients=[[2.0], [0.5, -1.0], [0.1, 0.2, 0.3]]), (6, 8))
    assert image.shape == (6, 8)
    for row, column in [(0, 0), (5, 7), (2, 6)]:
        x, y = (column - 3.5) * 0.125, (row - 2.5) * 0.25
        expected = 2.0 + 0.5 * x - 1.0 * y + 0.1 * x * x + 0.2 * x * y + 0.3 * y * y
        assert image[row, column] == pytest.approx(expected, rel=1e-12)


def test_a_binned_image_sees_the_same_field() -> None:
    profile = polynomial(Coefficients=[[1.0], [0.4, -0.2]])
    whole, half = evaluate(profile, (6, 8)), evaluate(profile, (3, 4))
    np.testing.assert_allclose(half, whole.reshape(3, 2, 4, 2).mean((1, 3)), rtol=1e-12)


def test_identity_is_flat() -> None:
    np.testing.assert_array_equal(evaluate({"Type": "Identity"}, (2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize(
    "values",
    [
        {"Coefficients": []},
        {"Coefficients": [[1.0], [1.0]]},
        {"Coefficients": [["INF"]]},
        {"Coefficients": [[1.0]], "Origin": [1.0]},
        {"Coefficients": [[1.0]], "Scale": [1.0, None]},
        {"Coefficients": [[1.0]], "Type": "Spline"},
    ],
)
def test_refuses_what_it_cannot_evaluate(values: dict[str, Any]) -> None:
    with pytest.raises(AcapellaError):
        evaluate(polynomial(**values), (6, 8))


def test_profiles_follow_the_background_of_real_images(shared_data: Path) -> None:
    """The order of terms is inferred: on real pixels it must beat the transposed and the rectangular reading."""
    (export,) = HarmonyReader().read(shared_data / "vendors" / "harmony" / "phenix-v5")
    channel = next(c for c in export.channels if c.name == "HOECHST 33342")
    assert channel.flatfield is not None
    profile = channel.flatfield["Background"]["Profile"]
    file = export.planes["file"].to_pylist()[channel.channel_index]
    blocks = tifffile.imread(Path(export.root) / str(file)).reshape(30, 36, 30, 36).swapaxes(1, 2).reshape(30, 30, -1)
    background = np.percentile(blocks, 10, axis=2)

    def agreement(surface: np.ndarray) -> float:
        return float(np.corrcoef(surface.reshape(30, 36, 30, 36).mean((1, 3)).ravel(), background.ravel())[0, 1])

    ours = evaluate(profile, (1080, 1080))
    axis = (np.arange(1080) - 539.5) / 1080
    rectangular = sum(
        c * np.multiply.outer(axis**i, axis**j)
        for i, row in enumerate(profile["Coefficients"])
        for j, c in enumerate(row)
    )
    assert agreement(ours) > 0.88
    assert agreement(ours) > agreement(ours.T)
    assert agreement(ours) > agreement(np.asarray(rectangular)) + 0.1
