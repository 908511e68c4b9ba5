"""The flat-field text of Harmony: its odd grammar."""

from __future__ import annotations

import contextlib
import json
import math
import re

import pytest
from cytolake.ingest.vendors.acapella import AcapellaError, parse, to_json
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


def test_a_number_of_any_length() -> None:
    assert parse("{a: %s, b: 123456789012345678}" % ("9" * 5000)) == {"a": math.inf, "b": 123456789012345678}


@given(st.text(alphabet='{}[]:,"ab1 .-NaINF\\', max_size=60))
@settings(max_examples=200, deadline=None)
def test_never_fails_otherwise(text: str) -> None:
    with contextlib.suppress(AcapellaError):
        json.dumps(to_json(parse(text)), allow_nan=False)
