"""Which set of a study is current: the newest run's, until somebody chooses another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError, UsageError
from cytolake.schemas.tables import arrow_schema
from cytolake.store.commit import Commit
from cytolake.store.current import choose, chosen, current_of, forget, newest_runs, shown
from cytolake.store.registry import register, register_profiles
from cytolake.store.root import LakeRoot

Put = Callable[..., str]


@pytest.fixture
def put(lake: LakeRoot, objects: Callable[..., pa.Table]) -> Put:
    """Commit one plate of a feature set, and the plate itself; return the set's hash."""

    def make(
        name: str,
        *,
        study: str = "pilot",
        plate: str = "P1",
        run_id: str,
        parts: tuple[str, ...] = ("nuclei", "cells"),
        written: tuple[str, ...] | None = None,
        **settings: Any,
    ) -> str:
        definition = {"objects": {part: {} for part in parts}, **settings}
        registration = register(lake, name, definition, recipe_text=None, run_id=run_id)
        row = dict.fromkeys(arrow_schema("plates").names) | {
            "study_id": study,
            "plate_id": plate,
            "n_rows": 8,
            "n_columns": 12,
            "status": "no_images",
            "run_id": run_id,
        }
        key = {"study_id": study, "plate_id": plate}
        with Commit(lake, run_id=run_id, app_id=f"test/{run_id}") as commit:
            registration.add_to(commit)
            commit.replace("plates", key, pa.Table.from_pylist([row], schema=arrow_schema("plates")))
            for part in written or parts:
                rows = objects(plate, study_id=study, run_id=run_id)
                commit.replace(registration.set.table(part), key, rows)
            commit.commit()
        return registration.set.hash

    return make


def labels(lake: LakeRoot, study: str = "pilot", kind: str = "features") -> dict[str, str]:
    return {part: one.label for part, one in current_of(lake, study, kind).items()}


def test_the_newest_run_decides_per_part(lake: LakeRoot, put: Put) -> None:
    assert labels(lake) == {}
    put("a", run_id="r1")
    put("a", run_id="r2", v=2)
    assert labels(lake) == {"nuclei": "a@2", "cells": "a@2"}
    put("a", run_id="r3", plate="P2", written=("cells",))
    assert labels(lake) == {"nuclei": "a@2", "cells": "a@1"}
    assert labels(lake, "other") == {}


def test_a_choice_stands_above_newer_runs_until_it_is_forgotten(lake: LakeRoot, put: Put) -> None:
    first = put("a", run_id="r1")
    put("a", run_id="r2", v=2)
    put("a", study="other", run_id="r2b", v=2)
    done = choose(lake, "a@1", study_id="pilot")
    assert (done["status"], done["parts"], done["label"]) == ("ok", ["nuclei", "cells"], "a@1")
    assert done["before"] == {"nuclei": "a@2", "cells": "a@2"}
    put("a", run_id="r9", v=2)
    assert labels(lake) == {"nuclei": "a@1", "cells": "a@1"}
    assert labels(lake, "other") == {"nuclei": "a@2", "cells": "a@2"}
    assert chosen(lake) == {("features", part, "pilot"): first for part in ("nuclei", "cells")}

    again = choose(lake, first[:10], study_id="pilot")
    assert (again["status"], again["run_id"]) == ("skipped", None)

    choose(lake, "a@2", study_id="pilot")
    assert set(labels(lake).values()) == {"a@2"}
    assert lake.tables.read("current_sets").num_rows == 2
    choose(lake, "a@1", study_id="pilot")
    gone = forget(lake, study_id="pilot")
    assert {one["label"] for one in gone["forgotten"]} == {"a@1"}
    assert set(labels(lake).values()) == {"a@2"}
    assert forget(lake, study_id="pilot")["status"] == "skipped"


def test_what_was_chosen_then_can_be_asked_for(lake: LakeRoot, put: Put) -> None:
    put("a", run_id="r1")
    put("a", run_id="r2", v=2)
    choose(lake, "a@1", study_id="pilot")
    then = lake.tables.version("current_sets")
    forget(lake, study_id="pilot")
    assert set(chosen(lake, then)) == {("features", "nuclei", "pilot"), ("features", "cells", "pilot")}
    assert chosen(lake) == {}


def test_only_parts_with_rows_are_chosen(lake: LakeRoot, put: Put) -> None:
    put("a", run_id="r1")
    put("b", run_id="r2", parts=("nuclei", "cells", "spots"), written=("nuclei",))
    put("a", run_id="r3")
    assert choose(lake, "b", study_id="pilot")["parts"] == ["nuclei"]
    assert labels(lake) == {"nuclei": "b@1", "cells": "a@1"}


def test_the_choice_is_a_run_with_what_it_read(lake: LakeRoot, put: Put) -> None:
    put("a", run_id="r1")
    done = choose(lake, "a@1", study_id="pilot")
    (run,) = lake.tables.read("runs", where={"run_id": done["run_id"]}).to_pylist()
    assert (run["verb"], run["study_id"], run["status"]) == ("features use", "pilot", "ok")
    assert {(one["kind"], one["version"] is not None) for one in run["inputs"]} == {("table", True)}
    assert [one["name"] for one in run["outputs"]] == ["current_sets"]


def test_profiles_have_choices_of_their_own(lake: LakeRoot, put: Put, wells: Callable[..., pa.Table]) -> None:
    put("same", run_id="r1")
    for number in (1, 2):
        made = register_profiles(lake, "same", {"n": number}, levels=["well"], recipe_text=None, run_id=f"p{number}")
        with Commit(lake, run_id=f"p{number}", app_id=f"profiles/{number}") as commit:
            made.add_to(commit)
            rows = wells("P1", run_id=f"p{number}").select(["study_id", "plate_id", "well_id", "run_id"])
            commit.append(made.set.table("well"), rows)
            commit.commit()
    assert labels(lake, kind="profiles") == {"well": "same@2"}
    # One label, two kinds: a feature set comes first, and the kind can be said.
    assert choose(lake, "same@1", study_id="pilot")["kind"] == "features"
    assert choose(lake, "same@1", study_id="pilot", kind="profiles")["parts"] == ["well"]
    assert labels(lake, kind="profiles") == {"well": "same@1"}
    assert [one["kind"] for one in forget(lake, study_id="pilot", kind="profiles")["forgotten"]] == ["profiles"]
    assert labels(lake, kind="profiles") == {"well": "same@2"}
    assert ("features", "nuclei", "pilot") in chosen(lake)


def test_a_choice_without_rows_left_gives_way(lake: LakeRoot, put: Put) -> None:
    put("a", run_id="r1")
    put("a", run_id="r2", v=2)
    choose(lake, "a@1", study_id="pilot")
    with Commit(lake, run_id="r3", app_id="remove") as commit:
        for part, one in current_of(lake, "pilot").items():
            commit.delete(one.table(part), {"study_id": "pilot"})
        commit.commit()
    assert set(labels(lake).values()) == {"a@2"}


def test_what_cannot_be_chosen_changes_nothing(lake: LakeRoot, put: Put) -> None:
    put("a", run_id="r1")
    put("a", study="other", run_id="r2", v=2)
    with pytest.raises(NotFoundError, match="study 'pilot' has no rows of feature set a@2") as error:
        choose(lake, "a@2", study_id="pilot")
    assert "a@1" in str(error.value.hint)
    with pytest.raises(NotFoundError, match="pilto"):
        choose(lake, "a@1", study_id="pilto")
    with pytest.raises(NotFoundError, match="no feature set or profile set 'b'"):
        choose(lake, "b", study_id="pilot")
    with pytest.raises(UsageError, match="no kind of set"):
        choose(lake, "a", study_id="pilot", kind="feature")
    with pytest.raises(UsageError, match="no kind of set"):
        current_of(lake, "pilot", "feature")
    assert not lake.tables.exists("current_sets")
    assert not lake.tables.exists("runs")


def test_files_of_others_have_no_run(lake: LakeRoot, put: Put) -> None:
    one = put("a", run_id="r1")
    assert newest_runs(lake, f"features/a/{one[:8]}/nuclei") == {"pilot": "r1"}
    assert newest_runs(lake, "features/a/00000000/nuclei") == {}
    assert shown([], "nuclei", lambda _: {}, {}) == {}
