"""Is a lake whole? Every table readable, every row's references met, every plate there with all its pixels.

Nothing is repaired and nothing raised: what is wrong is collected, with a code that programs may match and a place
where to look. :mod:`.doctor` examines the machine; this examines the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import CytolakeError, NotFoundError, StorageError
from ..schemas.tables import TABLES, arrow_schema
from .doctor import different_columns, unfinished_commits
from .images import ngff
from .images.check import Problem, check_plate
from .images.plate import open_plate
from .registry import feature_tables, profile_tables
from .release_files import check_release
from .releases import releases
from .scan import Scan, scan
from .storage import STAGING, open_storage

if TYPE_CHECKING:
    from .root import LakeRoot

Progress = Callable[[int, int], None]

_PLATE = ("study_id", "plate_id")
_WELL = (*_PLATE, "well_id")
#: Table → (columns that refer, the table that must have them); NULL refers to nothing.
_REFERENCES: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "wells": ((_PLATE, "plates"), (("study_id", "biosample_id"), "biosamples")),
    "well_perturbations": ((_WELL, "wells"), (("study_id", "perturbation_id"), "perturbations")),
    "acquisitions": ((_PLATE, "plates"),),
    "channels": (((*_PLATE, "acquisition_id"), "acquisitions"),),
    "images": ((_WELL, "wells"), ((*_PLATE, "acquisition_id"), "acquisitions")),
    "quality": (((*_WELL, "acquisition_id", "field_id"), "images"),),
    "tracks": (((*_WELL, "acquisition_id", "field_id"), "images"),),
    "labels": ((_PLATE, "plates"), (_WELL, "wells")),
}
_FEATURE_REFERENCES = (((*_WELL, "acquisition_id", "field_id"), "images"),)
#: Of profiles, and of features that were made elsewhere: their images may be in no lake.
_WELL_REFERENCES = ((_WELL, "wells"),)
_SHOWN = 3


def validate(
    root: LakeRoot | None, paths: Sequence[str] = (), *, deep: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Check the whole lake, or only what ``paths`` name.

    Parameters
    ----------
    root
        The lake; None where ``paths`` are looked at without one.
    paths
        Plates (a folder ``*.ome.zarr``) or lakes, relative to the current folder or to the lake.
    deep
        Read every pixel and every row, not only what describes them.
    progress
        Called with (plates checked, plates in all).

    Returns
    -------
    dict
        ``checked`` (what was looked at, with counts), ``errors`` (``code``, ``where``, ``message``),
        ``warnings`` (texts), and ``notes`` (texts) on what is as it should be and takes space.

    Raises
    ------
    NotFoundError
        A path does not exist, or is neither a plate nor a lake.
    """
    check = _Check(deep=deep, progress=progress)
    if root is not None and not paths:
        check.lake(root)
    for path in paths:
        check.path(root, path)
    return {
        "checked": dict(check.checked),
        "errors": [
            {"code": problem.code, "where": problem.where, "message": problem.message} for problem in check.problems
        ],
        "warnings": check.warnings,
        "notes": check.notes,
    }


class _Check:
    """What has been looked at so far, and what was found."""

    def __init__(self, *, deep: bool, progress: Progress | None) -> None:
        self.deep = deep
        self.progress = progress
        self.checked: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def path(self, root: LakeRoot | None, path: str) -> None:
        from .root import LAKE_FILE, open_root

        folder = Path(path)
        if root is not None and not folder.exists() and root.storage.exists(path):
            self._plate_files(root.storage.url, path)
        elif (folder / LAKE_FILE).is_file():
            self.lake(open_root(folder))
        elif (folder / "zarr.json").is_file():
            absolute = folder.absolute()
            self._plate_files(str(absolute.parent), absolute.name)
        elif not folder.exists():
            raise NotFoundError(f"{path}: there is no such file or folder")
        else:
            raise NotFoundError(f"{path} is neither a plate nor a lake", hint="name a folder *.ome.zarr, or a lake")

    def _plate_files(self, url: str, path: str) -> None:
        self.checked["plates"] += 1
        self.problems += check_plate(open_storage(url), path, deep=self.deep, progress=self.progress)

    def lake(self, root: LakeRoot) -> None:
        readable = {name: found for name in root.tables.names() if (found := self._table(root, name)) is not None}
        keys: dict[tuple[str, tuple[str, ...]], pa.Table] = {}
        computed = _computed(root)
        for name, found in readable.items():
            if name in TABLES:
                self._keys(name, found)
            self._references(name, found, readable, keys, computed)
        self._features(root, readable)
        self._plates(root, readable)
        self._releases(root)
        self._leftovers(root)

    def _table(self, root: LakeRoot, name: str) -> Scan | None:
        """Check that a table opens, has its columns, and that its files are there with the size that the log says."""
        self.checked["tables"] += 1
        where = f"tables/{name}"
        try:
            found = scan(root, name)
            for column in different_columns(root, name) if name in TABLES else ():
                self._wrong("schema", where, f"column {column} is missing or has another type than the schema says")
            sound = True
            for file in found.files:
                self.checked["files"] += 1
                sound &= self._file(root, found, file.uri, file.bytes, file.rows)
        except CytolakeError as error:
            self._wrong("table-unreadable", where, error.message)
            return None
        return found if sound else None

    def _file(self, root: LakeRoot, found: Scan, uri: str, size: int, rows: int | None) -> bool:
        path = uri.removeprefix(f"{root.storage.url}/")
        try:
            there = root.storage.size(path)
        except NotFoundError:
            self._wrong("file-missing", path, "the table's log names this file, and it is not there")
            return False
        if there != size:
            self._wrong("file-size", path, f"the file has {there} bytes, the table's log says {size}")
            return False
        if self.deep:
            one = replace(found, files=tuple(file for file in found.files if file.uri == uri))
            try:
                read = one.read().num_rows
            except (StorageError, OSError, pa.ArrowException) as error:
                self._wrong("file-unreadable", path, " ".join(str(error).split()))
                return False
            if rows is not None and read != rows:
                self._wrong("file-rows", path, f"the file has {read} rows, the table's log says {rows}")
                return False
        return True

    def _keys(self, name: str, found: Scan) -> None:
        """Check that no two rows of a table are the same thing, and that what must be said is said."""
        key = list(TABLES[name].key)
        if key:
            counts = found.read(key).group_by(key).aggregate([([], "count_all")])
            twice = counts.filter(pc.greater(counts["count_all"], pa.scalar(1))).select(key)
            if twice.num_rows:
                self._wrong("duplicate-key", f"tables/{name}", f"{twice.num_rows} keys occur twice: {_some(twice)}")
        required = [f.name for f in arrow_schema(name) if not f.nullable and f.name in found.schema.names]
        rows = found.read(required)
        for column in required:
            nulls = rows[column].null_count
            if nulls:
                self._wrong("required-null", f"tables/{name}", f"{column} is required and NULL in {nulls} rows")

    def _references(
        self,
        name: str,
        found: Scan,
        readable: dict[str, Scan],
        keys: dict[tuple[str, tuple[str, ...]], pa.Table],
        computed: Collection[str],
    ) -> None:
        """Check that what rows refer to exists: plates, wells, images, perturbations, runs."""
        if name in TABLES:
            references = _REFERENCES.get(name, ())
        else:
            references = _FEATURE_REFERENCES if name in computed else _WELL_REFERENCES
        if name != "runs":
            references = (*references, (("run_id",), "runs"))
        columns = [column for columns, _ in references for column in columns if column in found.schema.names]
        distinct = _distinct(found, list(dict.fromkeys(columns)))
        for referring, target in references:
            if not set(referring) <= set(found.schema.names) or self._broken(target):
                continue
            if (target, referring) not in keys:
                there = readable.get(target)
                keys[target, referring] = (
                    _distinct(there, list(referring))
                    if there is not None
                    else pa.schema([arrow_schema(target).field(column) for column in referring]).empty_table()
                )
            used = distinct.select(list(referring)).drop_null()
            used = used.group_by(list(referring)).aggregate([])
            lost = used.join(keys[target, referring], keys=list(referring), join_type="left anti")
            if lost.num_rows:
                what = f"{lost.num_rows} values of ({', '.join(referring)}) are not in {target}: {_some(lost)}"
                self._wrong("unknown-reference", f"tables/{name}", what)

    def _broken(self, table: str) -> bool:
        """Whether a table has been found broken already: what refers to it cannot be judged."""
        where = f"tables/{table}"
        return any(problem.where == where or problem.where.startswith(f"{where}/") for problem in self.problems)

    def _features(self, root: LakeRoot, readable: dict[str, Scan]) -> None:
        """Check that every table of features or profiles is registered, and each feature in the dictionary."""
        try:
            registered, profiles = feature_tables(root), profile_tables(root)
            dictionary = root.tables.read("feature_dictionary", columns=["feature_set_hash", "object_set", "column"])
        except CytolakeError:
            return  # one of these tables is broken, which has been said
        known = {tuple(row.values()) for row in dictionary.to_pylist()}
        identity = {*(field.name for field in _identity()), "run_id"}
        for name, found in readable.items():
            if name.startswith("profiles/") and name not in profiles:
                self._wrong("unregistered-profiles", f"tables/{name}", "no profile set of the registry has this table")
            if not name.startswith("features/"):
                continue
            if name not in registered:
                self._wrong("unregistered-features", f"tables/{name}", "no feature set of the registry has this table")
                continue
            one, object_set = registered[name]
            unknown = [c for c in found.schema.names if c not in identity and (one.hash, object_set, c) not in known]
            if unknown:
                what = f"{len(unknown)} columns are not in feature_dictionary: {', '.join(unknown[:_SHOWN])}"
                self._wrong("undescribed-feature", f"tables/{name}", what)

    def _plates(self, root: LakeRoot, readable: dict[str, Scan]) -> None:
        """Check every plate's files, and that they and the rows speak of the same fields."""
        if "plates" not in readable:
            return
        rows = readable["plates"].read(["study_id", "plate_id", "path", "n_fields", "n_wells"]).to_pylist()
        for done, row in enumerate(rows, start=1):
            self.checked["plates"] += 1
            if row["path"] is not None:  # else it is known from tables alone
                self.problems += check_plate(root.storage, row["path"], deep=self.deep)
                if "images" in readable:
                    self._fields(root, row)
            if self.progress:
                self.progress(done, len(rows))
        named = {row["path"] for row in rows}
        stored = [
            f"images/{study}/{plate}"
            for study in root.storage.children("images")
            for plate in root.storage.children(f"images/{study}")
        ]
        self._unnamed([path for path in stored if path not in named], readable)

    def _unnamed(self, paths: Sequence[str], readable: dict[str, Scan]) -> None:
        """Tell images that were removed from the tables from those of an ingest that did not come to its end."""
        ingested = _ingested(readable) if paths else set()
        for path in paths:
            if path in ingested:
                self.notes.append(
                    f"{path}: images of a plate that was removed; older versions of the tables name them. Nothing "
                    "takes them away; delete the folder to have the space"
                )
            else:
                self.warnings.append(f"{path} is named by no row of plates: its ingest was never finished")

    def _fields(self, root: LakeRoot, row: dict[str, Any]) -> None:
        where = {"study_id": row["study_id"], "plate_id": row["plate_id"]}
        images = root.tables.read("images", columns=["path", "well_id"], where=where)
        listed = {path for path in images["path"].to_pylist() if path is not None}
        self.checked["fields"] += images.num_rows
        try:
            stored = {f"{row['path']}/{ngff.image_path(key)}" for key in open_plate(root.storage, row["path"]).fields()}
        except CytolakeError:
            return  # check_plate has said so
        for path in sorted(listed - stored):
            self._wrong("image-missing", path, "a row of images names this field, and the plate does not have it")
        for path in sorted(stored - listed):
            self._wrong("image-unlisted", path, "the plate has this field, and no row of images names it")
        if row["n_fields"] is not None and row["n_fields"] != images.num_rows:
            message = f"plates says {row['n_fields']} fields, images has {images.num_rows} rows of it"
            self._wrong("field-count", row["path"], message)

    def _releases(self, root: LakeRoot) -> None:
        """Check that every release that can be asked has its logs and files."""
        if self._broken("releases"):
            return
        for release in releases(root):
            if not release.withdrawn:
                self.checked["releases"] += 1
                for problem in check_release(root, release)["problems"]:
                    self._wrong("release-incomplete", f"releases/{release.name}", problem["message"])

    def _leftovers(self, root: LakeRoot) -> None:
        for name in unfinished_commits(root):
            self.warnings.append(f"tables/_journal/{name}: a commit is under way, or waits for the lake to be opened")
        for verb in ("ingest", "transform"):
            for study in root.storage.children(f"{STAGING}/{verb}"):
                for plate in root.storage.children(f"{STAGING}/{verb}/{study}"):
                    path = f"{STAGING}/{verb}/{study}/{plate}"
                    self.warnings.append(f"{path}: an unfinished {verb}; run it again to go on, or delete the folder")

    def _wrong(self, code: str, where: str, message: str) -> None:
        self.problems.append(Problem(code, where, message))


def _computed(root: LakeRoot) -> set[str]:
    """Return the feature tables that were made from images of the lake."""
    try:
        return {name for name, (one, _) in feature_tables(root).items() if not one.imported}
    except CytolakeError:
        return set()  # the registry is broken, which is said


def _ingested(readable: Mapping[str, Scan]) -> set[str]:
    """Return where plates that were brought in once were put, of those that are gone too."""
    if "runs" not in readable:
        return set()
    outputs = readable["runs"].read(["outputs"])["outputs"].to_pylist()
    return {one["name"] for run in outputs for one in run or () if one["kind"] == "plate"}


def _identity() -> Iterator[pa.Field[Any]]:
    from ..schemas.tables import class_schema

    yield from class_schema("ObjectRow")


def _distinct(found: Scan, columns: list[str]) -> pa.Table:
    """Return the distinct combinations of some columns, file by file: a table may be larger than memory."""
    # Whether a column may be NULL is forgotten on the way through Parquet.
    schema = pa.schema([found.schema.field(column).with_nullable(True) for column in columns])
    if not columns:
        return schema.empty_table()
    parts = [replace(found, files=(file,)) for file in found.files] if found.plain else [found]
    seen = [part.read(columns).group_by(columns).aggregate([]) for part in parts]
    return pa.concat_tables([schema.empty_table(), *seen]).group_by(columns).aggregate([])


def _some(rows: pa.Table) -> str:
    shown = ["/".join(str(value) for value in row.values()) for row in rows.slice(0, _SHOWN).to_pylist()]
    return ", ".join(shown) + (", …" if rows.num_rows > _SHOWN else "")
