"""Colours and windows that viewers begin with."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import InvalidDataError
from cytolake.store.images.display import channel_colors, display_window, shown_at_first
from cytolake.store.images.model import ChannelSpec, Window


def channels(*roles):
    return [ChannelSpec(name=str(n), role=role) for n, role in enumerate(roles)]


def test_roles_have_their_colours_and_the_rest_colours_of_their_own():
    colors = channel_colors(channels("DNA", None, "Mito", "Golgi", "Brightfield"))
    assert colors == ["0000FF", "00FFFF", "FF0000", "FF00FF", "FFFFFF"]
    assert len(set(colors)) == 5


def test_a_colour_that_is_given_stays():
    assert channel_colors([ChannelSpec(name="a", role="DNA", color="123abc")]) == ["123abc"]
    assert channel_colors(channels(None)) == ["FFFFFF"]


@pytest.mark.parametrize("color", ["#00FF00", "red", "00FF0", ""])
def test_what_is_no_colour_is_refused(color):
    with pytest.raises(InvalidDataError, match="no colour"):
        ChannelSpec(name="a", color=color)


def test_transmitted_light_is_hidden_behind_stains_only():
    assert shown_at_first(channels("DNA", "Brightfield", None)) == [True, False, True]
    assert shown_at_first(channels("Phase", "Brightfield")) == [True, True]


def test_the_display_window_shows_what_is_there():
    plane = np.full((64, 64), 100, np.uint16)
    plane[:8, :8] = 3000
    window = display_window(plane, "uint16")
    assert (window.min, window.max, window.start) == (0, 65535, 100)
    assert 100 < window.end <= 3000
    assert display_window(None, "uint8") == Window(0, 255, 0, 255)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_plane_has_a_window_too(value):
    window = display_window(np.full((4, 4), value, np.uint8), "uint8")
    assert 0 <= window.start < window.end <= 255
