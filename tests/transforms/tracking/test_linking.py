"""Links and tracks: moving dots with gaps, divisions and merges, of which it is known who is who."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from cytolake.errors import MissingExtraError
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.tracking.linking import Lineage, Links, Objects, lineage, link, objects_of, sisters
from cytolake.transforms.tracking.settings import PARAMETERS, TrackingSettings

pytest.importorskip("laptrack")


def settings(**others: Any) -> TrackingSettings:
    return TrackingSettings(objects="nuclei", **{"max_distance_um": 10.0, **others})


def linked(rows: list[tuple[float, ...]], **others: Any) -> Links:
    """Link rows of (time point, y, x[, area])."""
    table = np.array([(*row, 100.0)[:4] for row in rows])
    return link(table[:, 1:3], table[:, 0].astype(np.int64), table[:, 3], settings(**others))


def tracked(rows: list[tuple[float, ...]], **others: Any) -> Lineage:
    return lineage(linked(rows, **others))


def test_neighbours_in_motion_keep_their_tracks() -> None:
    rng = np.random.default_rng(0)
    start = np.array([(y, x) for y in range(0, 300, 30) for x in range(0, 300, 30)], float)
    rows, who = [], []
    for t in range(8):
        order = rng.permutation(len(start))
        rows += [(t, *(start[k] + 3 * t + rng.normal(0, 1, 2))) for k in order]
        who += order.tolist()
    found = tracked(rows)
    assert found.track.max() == len(start)
    assert len({(track, one) for track, one in zip(found.track.tolist(), who, strict=True)}) == len(start)
    assert not found.divides.any()
    assert (found.founder == found.track).all()


def test_a_gap_is_bridged_as_long_as_it_may_be() -> None:
    rows = [(0, 5, 5), (1, 6, 5), (4, 8, 5), (5, 9, 5)]
    assert tracked(rows, max_gap=2).track.tolist() == [1, 1, 1, 1]
    assert tracked(rows, max_gap=1).track.tolist() == [1, 1, 2, 2]
    assert tracked([(0, 5, 5), (2, 5, 5)], max_gap=0).track.tolist() == [1, 2]


def test_nobody_moves_farther_than_allowed() -> None:
    assert tracked([(0, 0, 0), (1, 0, 9)]).track.tolist() == [1, 1]
    assert tracked([(0, 0, 0), (1, 0, 11)]).track.tolist() == [1, 2]


DIVISION = [(0, 50, 50), (1, 50, 50), (2, 46, 50, 50), (2, 54, 50, 50), (3, 43, 50, 60), (3, 57, 50, 60)]


def test_a_division_ends_a_track_and_begins_two() -> None:
    found = tracked(DIVISION)
    assert found.track.tolist() == [1, 1, 2, 3, 2, 3]
    assert found.parent.tolist() == [0, 0, 1, 1, 1, 1]
    assert found.founder.tolist() == [1] * 6
    assert found.generation.tolist() == [0, 0, 1, 1, 1, 1]
    assert found.divides.tolist() == [False, True, False, False, False, False]
    assert found.first.tolist() == [True, False, True, True, False, False]


def test_divisions_are_looked_for_only_if_asked() -> None:
    found = tracked(DIVISION, divisions=False)
    assert not found.divides.any()
    assert found.track.max() == 2
    assert (found.parent == 0).all()


def test_a_fragment_is_no_sister() -> None:
    rows = [(t, y, x, 20 if y == 54 else area) for t, y, x, area in ((*row, 100)[:4] for row in DIVISION[:4])]
    found = tracked(rows, least_sister_ratio=0.5)
    assert found.track.tolist() == [1, 1, 1, 2]
    assert tracked(rows, least_sister_ratio=0.0).track.tolist() == [1, 1, 2, 3]


def test_generations_count_on() -> None:
    rows = [*DIVISION, (4, 40, 50, 30), (4, 46, 50, 30), (4, 57, 50, 60)]
    found = tracked(rows)
    assert found.generation.max() == 2
    assert found.track[-1] == 3
    assert found.parent[[6, 7]].tolist() == [2, 2]


def test_a_merge_begins_a_track_with_two_before() -> None:
    rows = [(0, 40, 50), (0, 61, 50), (1, 44, 50), (1, 56, 50), (2, 49, 50), (3, 49, 50)]
    found = tracked(rows, merges=True, divisions=False)
    assert found.track.tolist() == [1, 2, 1, 2, 3, 3]
    assert (found.parent[-1], found.second_parent[-1]) == (1, 2)
    assert found.generation.tolist() == [0] * 6
    assert tracked(rows, divisions=False).second_parent.max() == 0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([(3, 1, 1)], [1]),
        ([(0, 1, 1), (0, 1, 1)], [1, 2]),
        ([(2, 1, 1), (3, 1, 1)], [1, 1]),
        ([(0, 0, 0), (1, 0, 99), (2, 0, 0)], [1, 2, 1]),
    ],
    ids=["none", "one", "one time point", "late", "another between"],
)
def test_few_objects(rows: list[tuple[float, ...]], expected: list[int]) -> None:
    links = linked(rows) if rows else link(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0), settings())
    assert lineage(links).track.tolist() == expected


def test_the_same_objects_give_the_same_links() -> None:
    rng = np.random.default_rng(2)
    rows = sorted((int(t), *rng.uniform(0, 60, 2)) for t in rng.integers(0, 6, 120))
    once, again = linked(rows), linked(rows)
    assert (once.before == again.before).all()
    assert (once.also_before == again.also_before).all()


def test_links_do_not_depend_on_where_the_field_lies() -> None:
    rng = np.random.default_rng(4)
    rows = sorted((int(t), *rng.uniform(0, 80, 2)) for t in rng.integers(0, 5, 60))
    moved = [(t, y + 512, x - 256) for t, y, x in rows]
    turned = [(t, x, -y) for t, y, x in rows]
    assert (linked(moved).before == linked(rows).before).all()
    assert (linked(turned).before == linked(rows).before).all()


def test_sisters_are_pairs_of_one_mother() -> None:
    assert sisters(np.array([-1, -1, 0, 1, 0])) == [(2, 4)]
    assert sisters(np.zeros(0, np.int64)) == []


def test_positions_of_labels_with_gaps() -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[2:4, 5:8] = 7
    labels[10, 20] = 3
    objects = Objects.joined([objects_of(label_index(labels), 4), objects_of(label_index(labels * 0), 5)])
    assert objects.timepoint.tolist() == [4, 4]
    assert objects.object_id.tolist() == [3, 7]
    assert objects.y.tolist() == [10, 2.5]
    assert objects.x.tolist() == [20, 6]
    assert objects.area.tolist() == [1, 6]
    assert len(Objects.joined([])) == 0


def test_without_laptrack_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytolake.transforms.tracking.settings.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "laptrack", None)
    with pytest.raises(MissingExtraError, match="laptrack") as caught:
        linked([(0, 1, 1), (1, 1, 1)])
    assert caught.value.hint == "pip install 'cytolake[tracking]'"


def test_defaults_are_those_of_the_parameters() -> None:
    defaults = TrackingSettings(objects="nuclei")
    assert {name: getattr(defaults, name) for name in PARAMETERS} == {n: p.default for n, p in PARAMETERS.items()}
    assert set(defaults.definition()) == {"version", "objects", "drift_channel", *PARAMETERS}
