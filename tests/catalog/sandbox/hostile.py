"""What a hostile person asks, and what comes of it; ``docs/sandbox.md`` shows this list.

``python tests/catalog/sandbox/hostile.py docs/sandbox.md`` writes the table into the page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- hostile list: begin -->", "<!-- hostile list: end -->"
_LONGEST = 88


@dataclass(frozen=True, slots=True)
class Attack:
    """One question of somebody hostile.

    Attributes
    ----------
    aim
        What it is after.
    sql
        ``{lake}``, ``{secret}`` (a file outside), ``{link}`` (a link to it inside the lake) and ``{target}`` (a file
        that is not there) stand for paths; ``<<n*text>>`` for a text that is repeated.
    decision
        As in the record: ``refused``, ``stopped``, ``answered``.
    says
        Part of the error's message, with paths for their names; of an answer, its rows.
    limits
        Of the policy, where it is about these; other limits are wide.
    """

    aim: str
    sql: str
    decision: str
    says: str
    limits: tuple[tuple[str, float], ...] = ()

    def written(self, paths: dict[str, str]) -> str:
        """Return the question as it is asked."""
        text = self.sql
        for name, path in paths.items():
            text = text.replace(f"{{{name}}}", path.replace("'", "''"))
        return re.sub(r"<<(\d+)\*(.*?)>>", lambda found: found[2] * int(found[1]), text)

    def row(self) -> str:
        """Return the line of the table."""
        shown = self.sql if len(self.sql) <= _LONGEST else f"{self.sql[: _LONGEST - 1]}…"
        tick = "``" if "`" in shown else "`"
        cells = (self.aim, f"{tick}{shown}{tick}", f"{self.decision}: {self.says}")
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _refused(aim: str, says: str, *questions: str) -> Iterator[Attack]:
    for sql in questions:
        yield Attack(aim, sql, "refused", says.replace("%", _called(sql)))


def _called(sql: str) -> str:
    found = re.search(r"(?:FROM|SELECT|,)\s+(?:[a-z_]+\.)*([a-z_]+)\(", sql)
    return found[1] if found else ""


def _function(aim: str, *questions: str) -> Iterator[Attack]:
    return _refused(aim, "%() is not available here", *questions)


def _no_table(aim: str, *questions: str) -> Iterator[Attack]:
    for sql in questions:
        name = re.search(r"(?:FROM|DESCRIBE|SUMMARIZE)\s+(?:'([^']+)'|([\w.\"]+))", sql)
        assert name is not None
        yield Attack(aim, sql, "refused", f"there is no table '{(name[1] or name[2]).replace(chr(34), '')}'")


def _statement(aim: str, *pairs: tuple[str, str]) -> Iterator[Attack]:
    for sql, kind in pairs:
        yield Attack(aim, sql, "refused", kind)


def _stopped(aim: str, limit: str, granted: float, *questions: str) -> Iterator[Attack]:
    for sql in questions:
        yield Attack(aim, sql, "stopped", f"limits.{limit}", ((limit, granted),))


ATTACKS: tuple[Attack, ...] = (
    *_function(
        "read a file",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_blob('{secret}')",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_csv_auto('{secret}')",
        "SELECT * FROM read_json('{secret}')",
        "SELECT * FROM read_json_objects('{secret}')",
        "SELECT * FROM read_ndjson_auto('{secret}')",
        "SELECT * FROM read_parquet('{lake}/tables/wells/**/*.parquet')",
        "SELECT * FROM parquet_scan('{lake}/tables/wells/**/*.parquet')",
        "SELECT * FROM parquet_metadata('{lake}/tables/wells/**/*.parquet')",
        "SELECT * FROM parquet_schema('{lake}/tables/wells/**/*.parquet')",
        "SELECT * FROM parquet_kv_metadata('{lake}/tables/wells/**/*.parquet')",
        "SELECT * FROM read_duckdb('{target}')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM system.main.read_text('{secret}')",
        "WITH a AS (SELECT * FROM read_text('{secret}')) SELECT * FROM a",
        "SELECT (SELECT content FROM read_text('{secret}'))",
        "SELECT * FROM plates, LATERAL (SELECT * FROM read_text('/proc/self/environ'))",
    ),
    *_function("list a folder", "SELECT * FROM glob('{lake}/**')"),
    *_function("follow a link out of the lake", "SELECT * FROM read_text('{link}')"),
    *_function(
        "read a URL", "SELECT * FROM read_csv('https://example.org/x.csv')", "SELECT * FROM read_parquet('s3://x/y')"
    ),
    *_no_table(
        "a file as a table",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM '{lake}/tables/wells/x.parquet'",
        "SELECT * FROM 'https://example.org/x.csv'",
    ),
    *_no_table("a Python variable as a table", "SELECT * FROM query", "SELECT * FROM sys", "SELECT * FROM setup"),
    *_no_table("a table that is not shown", "SELECT * FROM studies", "DESCRIBE runs", "SUMMARIZE studies"),
    *_no_table("a table that does not exist: the same words", "SELECT * FROM nowhere"),
    *_no_table(
        "what the engine knows of itself",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM duckdb_settings",
        "SELECT * FROM memory.main.plates",
    ),
    *_function(
        "what the engine knows of itself",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM duckdb_views()",
        "SELECT * FROM duckdb_columns()",
        "SELECT * FROM duckdb_functions()",
        "SELECT * FROM duckdb_logs()",
        "SELECT * FROM duckdb_memory()",
        "SELECT * FROM pragma_table_info('plates')",
        "SELECT * FROM pragma_storage_info('plates')",
        "SELECT current_setting('secret_directory')",
        "SELECT getvariable('x')",
        "SELECT getenv('AWS_SECRET_ACCESS_KEY')",
        "SELECT current_schemas(true)",
        "SELECT pg_get_viewdef(1)",
        "SELECT get_block_size('memory')",
    ),
    *_function(
        "secrets", "SELECT * FROM duckdb_secrets(redact := false)", "SELECT * FROM which_secret('s3://x', 's3')"
    ),
    *_function(
        "run a text",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('plates')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    ),
    *_function(
        "read memory by its address",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT * FROM system.main.arrow_scan(1, 2, 3)",
        "SELECT * FROM arrow_scan_dumb(1, 2, 3)",
        "SELECT * FROM python_arrow_scan(1, 2, 3)",
        "SELECT * FROM pandas_scan(1)",
        "SELECT * FROM python_map_function(1, 2, 3)",
        "SELECT * FROM seq_scan(1)",
        "SELECT finalize(x) FROM plates",
        "SELECT to_aggregate_state(x) FROM plates",
        "SELECT __internal_decompress_string(x) FROM plates",
    ),
    Attack(
        "read memory by its address",
        "SELECT string_agg(plate_id) EXPORT_STATE FROM plates",
        "refused",
        "EXPORT_STATE is not available here",
    ),
    Attack("read memory by its address", "SELECT 1::POINTER", "refused", "the type POINTER is not available here"),
    *_function(
        "change the session",
        "SELECT * FROM enable_logging()",
        "SELECT * FROM enable_profiling()",
        "SELECT * FROM checkpoint()",
        "SELECT * FROM force_checkpoint()",
        "SELECT * FROM truncate_duckdb_logs()",
        "SELECT * FROM register_external_resource('x')",
        "SELECT write_log('x')",
        "SELECT setseed(0.5)",
        "SELECT nextval('x')",
    ),
    *_function("wait", "SELECT sleep_ms(60000)", "SELECT pg_sleep(60)"),
    Attack("wait", "SELECT (60000).SLEEP_MS()", "refused", "sleep_ms() is not available here"),
    Attack("read a file", "FROM \"READ_TEXT\"('{secret}')", "refused", "read_text() is not available here"),
    Attack(
        "what the engine knows of itself, through a macro",
        "FROM well_profiles(duckdb_views)",
        "refused",
        "there is no table 'duckdb_views'",
    ),
    Attack(
        "what the engine knows of itself, through a macro",
        "FROM well_profiles('sqlite_master')",
        "refused",
        "there is no table 'sqlite_master'",
    ),
    *_statement(
        "write a file",
        ("COPY (SELECT 1) TO '{target}'", "this is a COPY statement"),
        ("COPY plates TO '{lake}/tables/plates/x.parquet'", "this is a COPY statement"),
        ("COPY (SELECT 1) TO '/dev/stdout'", "this is a COPY statement"),
        ("EXPORT DATABASE '{target}'", "this is a"),
        ("IMPORT DATABASE '{lake}'", "this is a"),
        ("WITH d AS (COPY (SELECT 1) TO '{target}') SELECT * FROM d", ""),
    ),
    *_statement(
        "write in a question that looks like reading",
        ("WITH d AS (DELETE FROM plates RETURNING *) SELECT * FROM d", "this text contains"),
        ("WITH d AS (INSERT INTO plates VALUES (1) RETURNING *) SELECT * FROM d", "this text contains"),
        ("WITH d AS (UPDATE plates SET plate_id = 'x' RETURNING *) SELECT * FROM d", "this text contains"),
        ("EXPLAIN ANALYZE INSERT INTO plates SELECT * FROM plates", "EXPLAIN is not asked in SQL here"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'", "EXPLAIN is not asked in SQL here"),
    ),
    *_statement(
        "another statement than a question",
        ("DELETE FROM plates", "this is a DELETE statement"),
        ("DROP TABLE plates", "this is a DROP statement"),
        ("CREATE TABLE x AS SELECT 1", "this is a CREATE statement"),
        ("CREATE MACRO lower(x) AS 1", "this is a CREATE statement"),
        ("CREATE SECRET s (TYPE s3)", "this is a"),
        ("ATTACH '{target}' AS x", "this is an ATTACH statement"),
        ("DETACH memory", "this is a DETACH statement"),
        ("USE memory", "this is a"),
        ("INSTALL httpfs", "this is a"),
        ("LOAD '{target}'", "this is a LOAD statement"),
        ("SET memory_limit = '100GB'", "this is a SET statement"),
        ("RESET lock_configuration", "this is a"),
        ("PRAGMA enable_external_access", "this is a"),
        ("PRAGMA database_list", "this is a"),
        ("CALL pragma_version()", "this is a"),
        ("CHECKPOINT", "this is a"),
        ("VACUUM", "this is a VACUUM statement"),
        ("BEGIN TRANSACTION", "this is a TRANSACTION statement"),
        ("PREPARE p AS SELECT 1", "this is a PREPARE statement"),
        ("EXECUTE p", "this is an EXECUTE statement"),
        ("SHOW TABLES", "SHOW is not available here"),
        ("SHOW ALL TABLES", "SHOW is not available here"),
    ),
    *_statement(
        "a second statement",
        ("SELECT 1; DROP TABLE plates", "a question is one statement, this text has 2"),
        ("SELECT 1; SELECT * FROM read_text('{secret}')", "a question is one statement, this text has 2"),
        ("PIVOT plates ON plate_id USING count(*)", "a PIVOT needs its list of values here"),
    ),
    *_stopped(
        "compute without end",
        "cpu_seconds",
        0.2,
        "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT sum(hash(range)) FROM range(1000000000000)",
        "SELECT count(*) FROM generate_series(1, 1000000000000)",
        "SELECT sum(levenshtein(repeat('a', 50000), repeat('b', 50000 + range))) FROM range(1000)",
    ),
    *_stopped(
        "take all memory",
        "memory_mb",
        96,
        "SELECT length(repeat(repeat('x', 100000), 30000))",
        "SELECT list(range) FROM range(1000000000)",
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(1000000)",
        "SELECT range(1000000000)",
        "SELECT count(DISTINCT hash(range)) FROM range(10000000000)",
        "SELECT * FROM range(1000000000) ORDER BY hash(range) LIMIT 1 OFFSET 900000000",
        "SELECT list_transform(range(100000), lambda x: repeat('x', 100000))",
        "SELECT printf('%' || repeat('9', 9) || 'd', 1)",
    ),
    *_stopped("flood the answer", "rows", 1000, "SELECT * FROM range(100000000)"),
    *_stopped(
        "flood the answer",
        "bytes",
        1000000,
        "SELECT repeat('x', 30000) FROM range(1000)",
        "SELECT e::ENUM('<<10000*x>>') FROM (SELECT repeat('x', 10000) AS e), range(2000)",
    ),
    *_statement(
        "break the engine",
        ("SELECT <<5000*(>>1<<5000*)>>", "the question is nested too deeply"),
        ("SELECT <<900*abs(>>1<<900*)>>", "the question is nested too deeply"),
        ("SELECT <<20000*1 + >>1", "the question is nested too deeply"),
        ("SELECT * FROM <<400*(SELECT * FROM >>plates<<400*)>>", "the question is nested too deeply"),
        ("SELECT json('<<100000*[>>')", "Malformed JSON"),
        ("SELECT regexp_matches('a', '((((a{1000}){1000}){1000}){1000})')", "invalid repetition size"),
        ("SELECT 'a' SIMILAR TO '<<100000*(>>'", "missing )"),
        ("<<2000000*x>>", "the question has 2,000,000 characters"),
    ),
    Attack("break the engine", "SELECT regexp_matches(repeat('a', 1000000), '(a*)*b')", "answered", "[(False,)]"),
)


def table() -> str:
    """Return the list as Markdown."""
    head = "| after | question | what comes of it |\n|---|---|---|"
    return "\n".join([head, *(attack.row() for attack in ATTACKS)])


def in_page(text: str) -> str:
    """Return what a page shows of the list."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    page = Path(sys.argv[1])
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
