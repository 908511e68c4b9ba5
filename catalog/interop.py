"""Other tools over the lake: a DuckDB connection with everything in it, and datasets of Arrow.

A connection holds the files of the moment at which it was made; make another to see later commits. Its views stand for
all files of the lake, or of one study: for a question about few plates :meth:`.query.Catalog.sql` opens fewer files.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pyarrow as pa

from ..errors import CytolakeError, NotFoundError
from ..wording import did_you_mean
from .binding import Binder, open_connection
from .constraints import Constraint, equal_to
from .foreign import attachments, open_foreign
from .library import closure, library
from .moment import AsOf, Moment, parse_moment
from .relations import AttachedRelation, Relations, SetView

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

    from ..store.root import LakeRoot
    from ..store.scan import Scan, ScanFile


def connection(root: LakeRoot, *, study: str | None = None, as_of: AsOf = None) -> duckdb.DuckDBPyConnection:
    """Return a connection in which every table, view and macro goes by its name.

    It is an ordinary connection in memory: its owner may make tables and read other files in it; the lake's own tables
    can only be read. ibis, SQLAlchemy and the like take it as it is.

    Parameters
    ----------
    study
        Only the files of this study: fewer to look through, where one study is all that matters.
    as_of
        The lake as it was; see :meth:`.query.Catalog.sql`.

    Raises
    ------
    NotFoundError
        There is no such study or release.

    Warns
    -----
    UserWarning
        A table of somebody else's that is attached cannot be read now; the connection lacks it.
    """
    moment = Moment(root, parse_moment(root, as_of)).for_tables([])
    relations = Relations(moment)
    constraint: Constraint = {}
    if study is not None:
        _check_study(moment, study)
        constraint = {"study_id": equal_to([study])}
    made = open_connection(moment)
    binder = Binder(made, moment)
    foreign = {row["name"] for row in attachments(moment)}
    for name in relations.names():
        if name in library():
            continue
        try:
            relation = relations.get(name)
            binder.bind(relation, constraint if "study_id" in relation.schema.names else {})
        except CytolakeError as error:
            if name not in foreign:
                raise
            warnings.warn(f"{name} is left out: {error.message}", stacklevel=2)
    binder.define(closure(library()))
    return made


def dataset(root: LakeRoot, name: str, *, as_of: AsOf = None) -> ds.Dataset | None:
    """Return a table's files as a dataset of Arrow, nothing of which has been read; None where files are not the rows.

    They are not of a view, and of a table of somebody else's with deleted rows or mapped columns.

    Raises
    ------
    QueryError
        There is no such table.
    """
    import pyarrow.dataset as ds

    from ..store.storage import open_storage

    moment = Moment(root, parse_moment(root, as_of)).for_tables([name])
    relation = Relations(moment).get(name)
    if isinstance(relation, SetView):
        return None
    storage = root.storage
    scan: Scan | None
    if isinstance(relation, AttachedRelation):
        storage, scan = open_storage(relation.url), open_foreign(relation.url, version=relation.version)
    else:
        scan = moment.scan(relation.name)
    if scan is None:
        return ds.dataset(relation.schema.empty_table())
    if not scan.plain:
        return None
    form, filesystem = ds.ParquetFileFormat(), storage.arrow_filesystem()[0]
    schema = pa.schema([field.remove_metadata() for field in scan.schema])
    fragments = [
        form.make_fragment(file.uri.removeprefix("s3://"), filesystem, _partition(file, schema)) for file in scan.files
    ]
    return ds.FileSystemDataset(fragments, schema, form, filesystem)


def _partition(file: ScanFile, schema: pa.Schema) -> ds.Expression:
    """Return what holds for every row of a file: the values of its partition."""
    import pyarrow.dataset as ds

    known = ds.scalar(True)
    for name, value in file.partition.items():
        field = ds.field(name)
        known = known & (field.is_null() if value is None else field == pa.scalar(value, schema.field(name).type))
    return known


def _check_study(moment: Moment, study: str) -> None:
    known = [row["study_id"] for row in moment.rows("studies")]
    if study not in known:
        raise NotFoundError(
            f"there is no study {study!r}{did_you_mean(study, known)}", hint="list them: SELECT study_id FROM studies"
        )
