"""What a question sees under a policy, what it costs at most, and what is remembered of it."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.catalog.result import _unique
from cytolake.catalog.sandbox import Answer, Policy, Record, Sandbox
from cytolake.catalog.sandbox.feed import decoded
from cytolake.errors import (
    ConfigurationError,
    InvalidDataError,
    LimitError,
    NotFoundError,
    QueryError,
    StorageError,
    UsageError,
)

AREA = "Nuclei_AreaShape_Area"
WIDE = {"seconds": 200, "cpu_seconds": 60}


def sandbox(lake: Any, tables: dict[str, Any], *, limits: dict[str, Any] | None = None, **more: Any) -> Sandbox:
    hook = more.pop("on_question", None)
    return Sandbox(
        lake.root, Policy.read({"tables": tables, "limits": WIDE | (limits or {}), **more}), on_question=hook
    )


@pytest.fixture(scope="module")
def guarded(shared_lake: Any) -> Sandbox:
    """Study ``one`` only, no compound names of its wells; controls as they are."""
    return sandbox(
        shared_lake,
        {
            "wells": {"columns": ["study_id", "plate_id", "well_id", "control_type"], "rows": "study_id = 'one'"},
            "nuclei": {"all_but": ["run_id", "compound"], "rows": "study_id = 'one'"},
            "plates": {"all_but": []},
        },
    )


def test_rows_and_columns_of_the_policy_and_no_others(guarded: Sandbox) -> None:
    answer = guarded.sql("SELECT * FROM wells ORDER BY ALL")

    assert answer.columns == ["study_id", "plate_id", "well_id", "control_type"]
    assert {row[0] for row in answer.fetchall()} == {"one"}
    assert len(answer.fetchall()) == 5
    assert isinstance(answer, Answer)


@pytest.mark.usefixtures("in_this_process")
def test_an_answer_is_that_of_the_trusted_engine(guarded: Sandbox, shared_lake: Any) -> None:
    question = f"""
        WITH big AS (SELECT plate_id, well_id, {AREA} AS area FROM nuclei WHERE study_id = 'one' AND {AREA} > 60)
        SELECT w.plate_id, control_type, count(*) AS n, median(area) AS area, sum(n) OVER () AS every
        FROM big JOIN wells w USING (plate_id, well_id) WHERE w.study_id = 'one' GROUP BY ALL ORDER BY ALL
    """

    answer, trusted = guarded.sql(question), shared_lake.catalog.sql(question)

    assert answer.to_arrow() == trusted.to_arrow()
    assert answer.types == trusted.types
    assert answer.to_pandas().equals(trusted.to_pandas())
    assert answer.to_polars().equals(trusted.to_polars())
    assert answer.to_dicts() == trusted.to_dicts()


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("SELECT a FROM plates AS p(a, b) ORDER BY ALL", [("one",), ("one",), ("two",)]),
        ("SELECT count(*) FROM plates", [(3,)]),
        ("SELECT count(*) FROM PLATES WHERE plate_id = 'P2'", [(1,)]),
        ("FROM (SELECT p.plate_id FROM plates p SEMI JOIN wells w USING (plate_id)) ORDER BY 1 LIMIT 1", [("P1",)]),
        ("SELECT p.study_id FROM (SELECT plates AS p FROM plates) ORDER BY 1 LIMIT 1", [("one",)]),
        ("PIVOT (SELECT study_id, plate_id FROM plates) ON study_id IN ('one', 'two') USING count(*) ORDER BY 1",
         [("P1", 1, 1), ("P2", 1, 0)]),
        ("SELECT column_name FROM (SUMMARIZE wells) WHERE max = 'two'", []),
        ("SELECT count(*) FROM (DESCRIBE wells)", [(4,)]),
        ("SELECT count(*) FROM (TABLE plates)", [(3,)]),
        ("SELECT len(json_keys(row_to_json(w))) FROM wells w LIMIT 1", [(4,)]),
        ("SELECT count(*) FROM plates NATURAL JOIN wells WHERE study_id = 'one'", [(5,)]),
        ("SELECT count(COLUMNS('^(study|plate)_id$')) FROM plates", [(3, 3)]),
        ("SELECT DISTINCT w FROM (UNPIVOT plates ON plate_id INTO NAME w VALUE v)", [("plate_id",)]),
        ("SELECT 1 WHERE 'P2' IN (SELECT plate_id FROM plates)", [(1,)]),
        ("SELECT sum(x) FROM range(4) t(x)", [(6,)]),
        ("SELECT plate_id, plate_id FROM plates WHERE study_id = 'two'", [("P1", "P1")]),
    ],
)  # fmt: skip
def test_questions_of_all_forms(guarded: Sandbox, question: str, rows: list[Any]) -> None:
    assert guarded.sql(question).fetchall() == rows


@pytest.mark.usefixtures("in_this_process")
def test_the_librarys_macros_work_on_what_is_visible(shared_lake: Any) -> None:
    of_one = {"all_but": [], "rows": "study_id = 'one'"}
    found = (
        sandbox(shared_lake, {"nuclei": of_one, "wells": of_one})
        .sql("SELECT plate_id, well_id FROM well_profiles(nuclei) ORDER BY ALL")
        .fetchall()
    )

    assert ("P2", "B02") in found
    assert {plate for plate, _ in found} == {"P1", "P2"}


@pytest.mark.usefixtures("in_this_process")
def test_a_view_of_the_library_may_be_shown_without_its_tables(shared_lake: Any) -> None:
    shown = sandbox(shared_lake, {"controls": {"columns": ["plate_id", "well_id"], "rows": "plate_id = 'P2'"}})

    assert shown.sql("SELECT * FROM controls").fetchall() == [("P2", "A01")]
    with pytest.raises(QueryError, match="there is no table 'wells'"):
        shown.sql("SELECT * FROM wells")


@pytest.mark.usefixtures("in_this_process")
def test_hidden_and_absent_are_told_in_the_same_words(guarded: Sandbox) -> None:
    said = []
    for name in ("studies", "xtudies"):
        with pytest.raises(QueryError) as caught:
            guarded.sql(f"SELECT * FROM {name}")
        said.append(str(caught.value).replace(name, "X"))
    assert said[0] == said[1]

    with pytest.raises(QueryError) as caught:
        guarded.sql("SELECT compond FROM wells")
    assert "'compound'" not in str(caught.value)


@pytest.mark.usefixtures("in_this_process")
def test_values_of_hidden_rows_are_in_no_message(lake: Any) -> None:
    lake.wells("secret", "P9", {"A01": {"compound": "hush-hush"}})
    shown = sandbox(lake, {"wells": {"all_but": [], "rows": "study_id = 'one'"}})
    for question in (
        "SELECT * FROM wells WHERE compound::DOUBLE > 1",
        "SELECT error(compound) FROM wells",
        "SELECT * FROM wells WHERE CASE WHEN study_id = 'secret' THEN error(compound) ELSE true END",
    ):
        try:
            said = str(shown.sql(question).fetchall())
        except QueryError as error:
            said = str(error)
        assert "hush" not in said
        assert "P9" not in said


@pytest.mark.usefixtures("in_this_process")
def test_an_error_of_the_policys_own_condition_reveals_nothing(lake: Any) -> None:
    shown = sandbox(lake, {"wells": {"all_but": [], "rows": "try_cast(compound AS DOUBLE) IS NULL"}})
    broken = sandbox(lake, {"wells": {"all_but": [], "rows": "coalesce(compound, '1')::DOUBLE > 0"}})

    assert shown.sql("SELECT count(*) FROM wells").fetchall() == [(6,)]
    with pytest.raises(StorageError) as caught:
        broken.sql("SELECT count(*) FROM wells")
    assert "nocodazole" not in str(caught.value)
    assert "nocodazole" in str(caught.value.__cause__)


def test_types_have_no_dictionaries() -> None:
    dictionary = pa.dictionary(pa.int8(), pa.string())
    nested = pa.struct([("a", pa.list_(dictionary)), ("m", pa.map_(pa.string(), dictionary))])

    assert decoded(dictionary) == pa.string()
    assert decoded(nested) == pa.struct([("a", pa.list_(pa.string())), ("m", pa.map_(pa.string(), pa.string()))])


@pytest.mark.usefixtures("in_this_process")
def test_only_what_the_question_needs_is_given(guarded: Sandbox) -> None:
    answer = guarded.sql(f"SELECT avg({AREA}) FROM nuclei WHERE plate_id = 'P2'")

    (use,) = answer.record.uses
    assert set(use.columns) == {"plate_id", AREA}
    assert use.rows == 2
    assert answer.fetchall() == [(92.5,)]


@pytest.mark.usefixtures("in_this_process")
def test_facts_of_each_question_are_told(shared_lake: Any) -> None:
    told: list[Record] = []
    shown = sandbox(
        shared_lake, {"plates": {"columns": ["plate_id"]}}, limits={"rows": 2}, name="lab", on_question=told.append
    )

    shown.sql("SELECT DISTINCT plate_id FROM plates", who="ada")
    with pytest.raises(QueryError):
        shown.sql("DROP TABLE plates", who="eve")
    with pytest.raises(LimitError):
        shown.sql("SELECT * FROM plates")

    assert [(one.who, one.decision, one.limit, one.rows) for one in told] == [
        ("ada", "answered", None, 2),
        ("eve", "refused", None, 0),
        (None, "stopped", "rows", 0),
    ]
    first = told[0]
    assert (first.policy, first.policy_hash) == ("lab", shown.policy.hash)
    assert [(use.relation, use.columns, use.rows) for use in first.uses] == [("plates", ("plate_id",), 3)]
    assert [scan.table for scan in first.scans] == ["plates"]
    assert first.seconds > 0
    assert first.peak_memory_mb is None or first.peak_memory_mb > 10


@pytest.mark.parametrize(
    ("limits", "question", "limit"),
    [
        ({"bytes": 20_000}, "SELECT repeat('x', 30000) FROM plates", "bytes"),
        ({"seconds": 1}, "SELECT count(*) FROM range(10000000) a, range(10000000) b", "seconds"),
    ],
)
def test_a_limit_is_an_error_that_names_it(shared_lake: Any, limits: dict[str, Any], question: str, limit: str) -> None:
    names_limit(shared_lake, limits, question, limit)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("limits", "limit"), [({"rows": 2}, "rows"), ({"input_mb": 0.0001}, "input_mb")])
def test_a_limit_that_the_parent_keeps_is_one_too(shared_lake: Any, limits: dict[str, Any], limit: str) -> None:
    names_limit(shared_lake, limits, "SELECT * FROM plates", limit)


def names_limit(shared_lake: Any, limits: dict[str, Any], question: str, limit: str) -> None:
    with pytest.raises(LimitError, match=rf"limits\.{limit}") as caught:
        sandbox(shared_lake, {"plates": {"all_but": []}}, limits=limits).sql(question)
    assert caught.value.limit == limit
    assert pickle.loads(pickle.dumps(caught.value)).limit == limit


@pytest.mark.usefixtures("in_this_process")
def test_an_answer_may_be_cut_and_says_so(shared_lake: Any) -> None:
    cut = sandbox(shared_lake, {"plates": {"all_but": []}}, limits={"rows": 2, "too_large": "truncate"})

    first, second = cut.sql("SELECT plate_id FROM plates"), cut.sql("SELECT plate_id FROM plates LIMIT 2")

    assert (len(first.fetchall()), first.truncated, first.record.limit) == (2, True, "rows")
    assert (len(second.fetchall()), second.truncated, second.record.limit) == (2, False, None)


def test_bytes_cut_an_answer_too(shared_lake: Any) -> None:
    cut = sandbox(shared_lake, {"plates": {"all_but": []}}, limits={"bytes": 100_000, "too_large": "truncate"})

    answer = cut.sql("SELECT range AS n, repeat('x', 10) AS x FROM range(50000)")

    assert answer.truncated
    assert answer.record.limit == "bytes"
    assert 0 < len(answer.fetchall()) < 50_000
    assert [row[0] for row in answer.fetchall()] == list(range(len(answer.fetchall())))


@pytest.mark.usefixtures("in_this_process")
def test_a_policy_is_pinned_to_a_moment(lake: Any) -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 1))
    time.sleep(1.2)
    lake.put("plates", {"study_id": "new", "plate_id": "P7"})

    now = sandbox(lake, {"plates": {"all_but": []}})
    then = sandbox(lake, {"plates": {"all_but": []}}, as_of=before)

    question = "SELECT count(*) FROM plates"
    assert now.sql(question).fetchall() == [(4,)]
    assert then.sql(question).fetchall() == [(3,)]


def test_questions_at_once(guarded: Sandbox) -> None:
    answers: dict[int, list[Any]] = {}

    def ask(number: int) -> None:
        answers[number] = guarded.sql(f"SELECT {number}, count(*) FROM plates").fetchall()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [(number, 3)] for number in range(2)}


def test_nothing_is_left_behind(guarded: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    guarded.sql("SELECT * FROM wells")
    with pytest.raises(QueryError):
        guarded.sql("SELECT * FROM nowhere")

    gc.collect()
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after <= before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc to look at another process")
def test_the_process_has_nothing_of_the_one_that_started_it(
    guarded: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cytolake.catalog.sandbox import guard, process

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do not tell")
    seen: dict[str, Any] = {}
    receive = process.Child.receive

    def looked_at(child: process.Child, *most: int) -> Any:
        found = receive(child, *most)
        folder = Path(f"/proc/{child._process.pid}")
        seen["environment"] = (folder / "environ").read_text()
        seen["folder"] = str((folder / "cwd").readlink())
        seen["files"] = sorted(str(one.readlink()) for one in (folder / "fd").iterdir())
        seen["limits"] = (folder / "limits").read_text()
        return found

    monkeypatch.setattr(guard.Child, "receive", looked_at)
    with (tmp_path / "mine").open("w") as mine:
        os.set_inheritable(mine.fileno(), True)
        guarded.sql("SELECT count(*) FROM plates")

    assert "AWS" not in seen["environment"]
    assert seen["folder"] == "/"
    assert not [
        name
        for name in seen["files"]
        if "mine" in name or "socket" in name or ("lake" in name and "question" not in name)
    ]
    limits = {" ".join(line.split()[:3]): line.split()[3] for line in seen["limits"].splitlines()}
    assert limits["Max open files"] == "0"
    assert limits["Max file size"] == "0"
    assert limits["Max core file"].startswith(("0", "size"))


def test_what_can_be_asked_is_listed(guarded: Sandbox) -> None:
    assert guarded.tables()[0] == {"name": "wells", "columns": 4}
    assert [one["column"] for one in guarded.columns("wells")] == ["study_id", "plate_id", "well_id", "control_type"]
    assert {one["table"] for one in guarded.columns()} == {"wells", "nuclei", "plates"}
    with pytest.raises(NotFoundError, match="there is no table 'studies'"):
        guarded.columns("studies")


@pytest.mark.usefixtures("in_this_process")
def test_an_answer_has_no_tables_behind_it(guarded: Sandbox) -> None:
    answer = guarded.sql("SELECT 1 AS n")
    assert answer.scans == ()
    with pytest.raises(UsageError):
        answer.again("SELECT 2")


def test_a_policy_that_does_not_fit_the_lake_is_refused(shared_lake: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"column 'compond'.*did you mean 'compound'"):
        sandbox(shared_lake, {"wells": {"columns": ["compond"]}})
    with pytest.raises(InvalidDataError, match="table 'welz' of the policy"):
        sandbox(shared_lake, {"welz": {"columns": ["compound"]}})
    with pytest.raises(InvalidDataError, match=r"more than a condition|no condition"):
        sandbox(shared_lake, {"wells": {"columns": ["compound"], "rows": "true) UNION SELECT (1"}})
    with pytest.raises(NotFoundError):
        sandbox(shared_lake, {"wells": {"columns": ["compound"]}}, as_of="no-such-release")


@pytest.mark.parametrize(
    "rows", ["1", "'true'", "NULL", "study_id", "1=1) OR (1=1", "true /*", "true; SELECT 1", "count(*) > 1"]
)
def test_rows_of_a_policy_must_be_a_condition(shared_lake: Any, rows: str) -> None:
    with pytest.raises(InvalidDataError, match="table 'wells' of the policy"):
        sandbox(shared_lake, {"wells": {"columns": ["compound"], "rows": rows}})


@pytest.mark.parametrize(
    "limits", [{"seconds": 1e300}, {"seconds": float("nan")}, {"input_mb": 1e300}, {"threads": 10**9}, {"rows": 10**30}]
)
def test_limits_have_an_end(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match=f"the limit {next(iter(limits))}"):
        Policy.read({"tables": {"wells": {"all_but": []}}, "limits": limits})


@pytest.mark.usefixtures("in_this_process")
def test_what_the_parent_holds_is_small_whatever_the_names(shared_lake: Any) -> None:
    """Values of an ENUM come once and are written often; columns may all have one name."""
    text = "x" * 10_000
    shown = sandbox(shared_lake, {"plates": {"all_but": []}}, limits={"bytes": 1_000_000})

    for value in ("e::ENUM('{}')", "[e::ENUM('{}')]"):
        with pytest.raises(LimitError, match=r"limits\.bytes"):
            shown.sql(f"SELECT {value.format(text)} FROM (SELECT repeat('x', 10000) AS e), range(2000)")
    with pytest.raises(LimitError, match=r"limits\.bytes"):
        shown.sql("SELECT list(NULL) FROM range(3000000)")
    assert shown.sql("SELECT 'b'::ENUM('a', 'b') AS e, {'a_view': [1]} AS s").fetchall() == [("b", {"a_view": [1]})]


def test_columns_of_one_name_are_named_in_one_go() -> None:
    class Counted(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    found = _unique([Counted("a") for _ in range(300)])

    assert (found[:3], found[-1], len(set(found))) == (["a", "a_1", "a_2"], "a_299", 300)
    assert Counted.compared < 3000
    assert _unique(["a_1", "a", "a", "a"]) == ["a_1", "a", "a_2", "a_3"]


def test_half_a_character_is_no_question(guarded: Sandbox) -> None:
    with pytest.raises(QueryError, match="characters"):
        guarded.sql("SELECT '\ud800'")


def test_what_went_wrong_in_the_machine_names_no_paths(guarded: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    with pytest.raises(ConfigurationError, match="no place for a question's rows"):
        guarded.sql("SELECT 1")


def test_macros_that_need_more_of_their_libraries_are_answered_too(shared_lake: Any) -> None:
    """Once the process gave up opening files, nothing can be imported."""
    shown = sandbox(shared_lake, {"synonyms": {"all_but": []}})
    question = "SELECT harmonise_perturbation('x'), expected_average_precision(3, 67)"
    assert shown.sql(question).fetchall() == shared_lake.catalog.sql(question).fetchall()
