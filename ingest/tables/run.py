"""Tables of features that were made elsewhere, into the lake: one pass over the files, one commit, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError, SourceFileError, UsageError
from ...schemas.identifiers import check_id
from ...store.lineage import Run
from ...wording import listed
from ..readers import reader_options
from .clashes import check_known
from .contract import Evidence, Level, Options, SourceTable
from .dialects import choose
from .look import FoundFile, find_files
from .names import NamePlan, plan_names
from .parts import PlateFiles
from .places import Keys, Places
from .sets import Sets
from .treatments import treatment_rows
from .values import Counts, stored
from .wells import Links, WellFacts
from .write import write

if TYPE_CHECKING:
    from ...store.root import LakeRoot

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

Progress = Callable[[int, int], None]
Existing = Literal["error", "skip", "replace"]

_SHOWN = 10


def import_tables(
    root: LakeRoot,
    files: Sequence[Path],
    *,
    study_id: str,
    plate_id: str | None = None,
    dialect: str | None = None,
    name: str | None = None,
    mapping: Path | None = None,
    pipeline: Path | None = None,
    roles: Mapping[str, str] | None = None,
    existing: Existing = "error",
    precision: Literal["float32", "float64"] = "float32",
    plate_format: int | str | tuple[int, int] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring in tables of features that were made elsewhere.

    Tables of objects become a feature set, tables of fields, wells or treatments a profile set, both under ``name``.
    Rows are linked to the wells of plates that the lake has; a plate that it does not have is made from the tables,
    without images.

    Parameters
    ----------
    root
        The lake.
    files
        Files, and folders whose files are meant.
    study_id, plate_id
        Where the rows belong; without a plate the tables name it.
    dialect
        How the tables are written; recognised by their content where None.
    name
        Name of the feature set and of the profile set; that of the dialect where None.
    mapping
        A file that says what the columns mean, for dialects that take one.
    pipeline
        The pipeline that made the tables. Its hash is part of the definition: another pipeline makes another version.
    roles
        Channel as the tables call it → role.
    existing
        What to do with a plate of which the set has rows already: ``error``, ``skip``, ``replace``.
    precision
        Of features of objects; those of fields, wells and treatments are always ``float64``.
    plate_format
        Size of plates that the lake does not have: a number of wells, or rows and columns.
    dry_run
        Read everything, say what would happen, and write nothing.
    progress
        Called with (bytes read, bytes in all).

    Returns
    -------
    dict
        ``run_id`` (None where nothing was written), ``status`` (``ok``, ``skipped``), ``dialect``, ``feature_set`` and
        ``profile_set`` (labels), ``level``, ``rows``, ``tables`` (rows of each), ``columns_mapped`` and
        ``columns_unmapped`` (numbers), ``unmapped`` (their names), ``not_features`` (columns that were left out),
        ``roles``, ``plates``, ``other_studies`` (with rows in the same sets), ``plates_created``, ``plates_skipped``,
        ``unlinked`` (plate → wells), ``nan``, ``inf``, ``metadata_columns``, ``metadata_varying``, ``files_not_read``,
        ``warnings``.

    Raises
    ------
    NotFoundError
        A file does not exist.
    UsageError
        An argument is not allowed.
    InvalidDataError
        The files are not of the dialect, or something in them is wrong; says file, column and place.
    AlreadyExistsError
        A plate has rows in this set already, and ``existing`` is ``error``.
    ConflictError
        Somebody else is at work on one of the plates.
    """
    study_id = check_id(study_id, "study")
    plate_id = None if plate_id is None else check_id(plate_id, "plate")
    if existing not in ("error", "skip", "replace"):
        raise UsageError(f"{existing!r} is no way to treat rows that exist", hint="Use error, skip or replace.")
    if precision not in ("float32", "float64"):
        raise UsageError(f"features are stored as float32 or float64, not {precision!r}")
    found = find_files(files)
    stamps = _stamps(found)
    chosen, evidence = choose(found, dialect if mapping is None else dialect or "wide")
    tables = chosen.tables(
        [file for file in found if file.path in set(evidence.files)],
        Options(plate=plate_id, roles=dict(roles or {}), mapping=mapping),
    )
    tables = [table for table in tables if table.features]
    if not tables:
        raise InvalidDataError(
            f"none of the tables has a feature: {listed([file.name for file in found], _SHOWN)}",
            hint="A feature is a column of numbers that describes objects, fields, wells or treatments.",
        )
    names = plan_names(chosen.name, tables, roles or {})
    run = Run.start(
        "import",
        study_id=study_id,
        parameters={
            "dialect": chosen.name,
            "files": [file.name for file in found],
            "name": name,
            "plate": plate_id,
            "roles": names.roles,
            "existing": existing,
            "precision": precision,
        },
    )
    beside = {"mapping": mapping, "pipeline": pipeline}
    said = {kind: None if path is None else file_sha256(path) for kind, path in beside.items()}
    sets = Sets(
        root,
        study_id=study_id,
        dialect=chosen.name,
        name=name or chosen.name,
        mapping=said["mapping"],
        pipeline=said["pipeline"],
        precision=precision,
        tables=tables,
        existing=existing,
        run_id=run.run_id,
    )
    links = Links(
        root, study_id, None if plate_format is None else reader_options(plate_format=plate_format).plate_format
    )
    check_known(root, tables, sets.hash_of)
    work = _Import(root, sets, names, links, Places(plate_id), dry_run=dry_run)
    with work:
        work.read(tables, progress)
        report = work.report(chosen.name, tables) | {"files_not_read": _not_read(found, evidence)}
        for warning in (*evidence_warnings(report), *report["warnings"]):
            run.warn(warning)
        report["warnings"] = run.warnings
        if dry_run or not work.rows:
            status = "ok" if work.rows else "skipped"
            return report | {"run_id": None, "status": status}
        _check_unchanged(found, stamps)
        for path in dict.fromkeys(path for table in tables for path in table.files):
            run.add_input("file", _name(found, path), sha256=file_sha256(path))
        for kind, one in beside.items():
            if one is not None:
                run.add_input("file", one.name, sha256=said[kind], detail=kind)
        warnings = write(
            root, run, sets=sets, names=names, links=links, facts=work.facts, plate_names=work.places.plate_names,
            files=work.finish(), schemas=work.schemas,
            dictionary={table.object_set or table.level: sets.hash_of(table) for table in tables},
        )  # fmt: skip
        work.keep()
    for warning in warnings:
        run.warn(warning)
    return report | {"run_id": run.run_id, "status": "ok", "warnings": run.warnings}


class _Import:
    """One pass over all tables: rows into data files, facts about wells, counts."""

    def __init__(
        self, root: LakeRoot, sets: Sets, names: NamePlan, links: Links, places: Places, *, dry_run: bool
    ) -> None:
        self._sets = sets
        self._names = names
        self._links = links
        self._files = None if dry_run else PlateFiles(root.storage)
        self._stack = ExitStack()
        self.places = places
        self.facts = WellFacts()
        self.counts = Counts()
        self.rows: dict[str, int] = {}
        self.schemas: dict[str, pa.Schema] = {}
        self._treated: set[str] = set()
        self.uncounted: dict[str, None] = {}

    def __enter__(self) -> _Import:
        if self._files is not None:
            self._stack.enter_context(self._files)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def read(self, tables: Sequence[SourceTable], progress: Progress | None) -> None:
        """Read all tables to their ends."""
        total, before = sum(table.size for table in tables), 0
        keys: dict[tuple[Level, str | None], Keys] = {}
        for table in tables:
            about = table.object_set or f"{table.level}s"
            known = keys.setdefault((table.level, table.object_set), Keys(table.level, about))
            for batch in table.batches():
                if table.level == "treatment":
                    self._treatments(table, batch)
                else:
                    self._located(table, batch, known)
                if progress is not None:
                    progress(before + (table.read() if table.read else 0), total)
            before += table.size
            if progress is not None:
                progress(before, total)
        for table in tables:
            keys[table.level, table.object_set].finish(table)

    def _located(self, table: SourceTable, batch: Any, keys: Keys) -> None:
        rows = self.places.of(table, batch)
        if table.level == "object" and "object_id" not in rows.column_names:
            self.uncounted[table.name] = None
        rows = keys.check(table, rows)
        plates: list[Any] = rows["plate_id"].unique().to_pylist()
        masks = {plate_id: pc.equal(rows["plate_id"], plate_id) for plate_id in plates} if len(plates) > 1 else {}
        for plate_id in plates:
            mine = rows.filter(masks[plate_id]) if masks else rows
            wells: list[Any] = mine["well_id"].unique().to_pylist()
            self._links.see(plate_id, wells, table.name)
        if batch.metadata.num_columns:
            self.facts.add(rows, batch.metadata)
        target = self._sets.table_of(table)
        wanted = [plate_id for plate_id in plates if not self._sets.leaves_out(target, plate_id)]
        if not wanted:
            return
        values = stored(batch.features, self._names.of(table), self._sets.value_type(table), self.counts)
        whole = self._sets.complete(table, rows, values)
        for plate_id in wanted:
            self._add(target, plate_id, whole.filter(masks[plate_id]) if masks else whole)

    def _treatments(self, table: SourceTable, batch: Any) -> None:
        target = self._sets.table_of(table)
        if self._sets.leaves_out(target, None):
            return
        values = stored(batch.features, self._names.of(table), self._sets.value_type(table), self.counts)
        self._add(target, None, self._sets.complete(table, treatment_rows(table, batch, self._treated), values))

    def _add(self, target: str, plate_id: str | None, rows: pa.Table) -> None:
        self.rows[target] = self.rows.get(target, 0) + rows.num_rows
        known = self.schemas.get(target)
        if known is None or known.names != rows.schema.names:
            self.schemas[target] = rows.schema if known is None else pa.unify_schemas([known, rows.schema])
        if self._files is not None:
            self._files.add(target, plate_id, rows)

    def finish(self) -> Mapping[tuple[str, str | None], Sequence[Any]]:
        """Close the data files and return them by table and plate."""
        assert self._files is not None
        return self._files.finish()

    def keep(self) -> None:
        """Leave the data files: a commit names them."""
        assert self._files is not None
        self._files.keep()

    def report(self, dialect: str, tables: Sequence[SourceTable]) -> dict[str, Any]:
        """Say what came of it, as :func:`import_tables` documents it."""
        unmapped = [one for one in self._names.all() if not one.mapped]
        mapped = [one for one in self._names.all() if one.mapped]
        skipped = self._sets.skipped
        warnings = [*dict.fromkeys(text for table in tables for text in table.warnings), *self._names.warnings]
        if self.uncounted:
            warnings.append(
                f"{listed(list(self.uncounted), _SHOWN)} has no numbers of objects: they are counted in the order of "
                "the file, and no label image has these numbers"
            )
        unlinked = {plate: link.unlinked for plate, link in self._links.plates.items() if link.unlinked}
        for plate, wells in unlinked.items():
            shown = listed(wells, _SHOWN)
            warnings.append(f"plate {plate}: {len(wells)} wells are not in the lake or have no image: {shown}")
        for study, plates in self._links.elsewhere().items():
            warnings.append(
                f"study {self._links.study_id} is new, and study {study} has plates of the same names: "
                f"{listed(plates, _SHOWN)}; if they are meant, import into {study}"
            )
        if skipped:
            warnings.append(f"left as they are: {listed(list(skipped), _SHOWN)}")
        levels = list(dict.fromkeys(table.level for table in tables))
        return {
            "run_id": None,
            "status": "ok",
            "dialect": dialect,
            "feature_set": self._sets.feature_label,
            "profile_set": self._sets.profile_label,
            "level": levels[0] if len(levels) == 1 else levels,
            "rows": sum(self.rows.values()),
            "tables": self.rows,
            "columns_mapped": len(mapped),
            "columns_unmapped": len(unmapped),
            "unmapped": [one.column for one in unmapped],
            "not_features": list(dict.fromkeys(one for table in tables for one in (*table.texts, *table.others))),
            "roles": self._names.roles,
            "plates": list(self._links.plates),
            "other_studies": self._sets.other_studies(),
            "plates_created": self._links.created,
            "plates_skipped": list(skipped),
            "unlinked": unlinked,
            **self.counts.report(),
            "metadata_columns": self.facts.kept,
            "metadata_varying": self.facts.varying,
            "warnings": [*warnings, *self.facts.warnings(), *self.counts.warnings()],
        }


def evidence_warnings(report: Mapping[str, Any]) -> list[str]:
    """Say which of the given files were not read."""
    left = report["files_not_read"]
    return [f"not read, they are no tables of this dialect: {listed(left, _SHOWN)}"] if left else []


def _not_read(found: Sequence[FoundFile], evidence: Evidence) -> list[str]:
    known = set(evidence.files)
    return [file.name for file in found if file.path not in known]


def _name(found: Sequence[FoundFile], path: Path) -> str:
    return next((file.name for file in found if file.path == path), path.name)


def _stamps(found: Sequence[FoundFile]) -> dict[Path, tuple[int, int]]:
    stats = {file.path: file.path.stat() for file in found}
    return {path: (one.st_size, one.st_mtime_ns) for path, one in stats.items()}


def _check_unchanged(found: Sequence[FoundFile], before: Mapping[Path, tuple[int, int]]) -> None:
    try:
        changed = [str(path) for path, stamp in _stamps(found).items() if stamp != before[path]]
    except FileNotFoundError as error:
        changed = [str(error.filename)]
    if changed:
        raise SourceFileError(
            f"{listed(changed, _SHOWN)} changed while it was read; nothing was imported",
            hint="Wait until whoever writes it is done, then import it again.",
        )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hex digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read: {error.strerror}") from error
