"""Tables with one header and one row per thing: which columns are what, and the rows of one as batches.

The dialects of vendors differ in what they call plates, wells and objects. Each of them sorts the columns of a file
into a :class:`Layout`; the rest is the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...schemas.feature_names import FeatureName, translate
from ...schemas.ontology import enum_value
from ...schemas.tool_names import TOOL_OF, take_apart
from ...wording import listed
from ..channels import guess_role
from .columns import identity_table
from .contract import Batch, Level, Options, SourceTable
from .csvfile import CsvTable
from .look import FoundFile
from .names import given_roles
from .parquetfile import ParquetTable
from .raw import RawTable, check_numbers

#: Changes the identity of a batch, such as the first number of time points.
Change = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the columns of one table are.

    Attributes
    ----------
    identity
        Name of :data:`.contract.IDENTITY` → column.
    fixed
        Name of :data:`.contract.IDENTITY` → the value of all rows, where the table says it elsewhere.
    features, metadata, texts, others
        As in :class:`.contract.SourceTable`.
    """

    identity: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def raw_table(file: FoundFile) -> RawTable:
    """Open a text table with its header in the first row, or a Parquet file."""
    return ParquetTable(file) if file.kind == "parquet" else CsvTable(file)


def sort_columns(
    raw: RawTable, identity: Mapping[str, str], *, metadata: Iterable[str] = (), texts: Iterable[str] = (),
    others: Iterable[str] = (), fixed: Mapping[str, Any] | None = None, text_is_metadata: bool = False,
) -> Layout:  # fmt: skip
    """Sort the columns of a table: what is not named is a feature where it holds numbers, and text otherwise.

    ``text_is_metadata`` says that text which is not named is about the wells.
    """
    about, said, beside = dict.fromkeys(metadata), dict.fromkeys(texts), dict.fromkeys(others)
    taken = {*identity.values(), *about, *said, *beside}
    left = [column for column in raw.columns if column not in taken]
    words = [column for column in left if column not in raw.numbers]
    (about if text_is_metadata else said).update(dict.fromkeys(words))
    return Layout(
        identity=identity,
        fixed=fixed or {},
        features=tuple(column for column in left if column in raw.numbers),
        metadata=tuple(about),
        texts=tuple(said),
        others=tuple(beside),
    )


def source_table(
    raw: RawTable, layout: Layout, *, level: Level, object_set: str | None = None, change: Change | None = None,
    names: Mapping[str, FeatureName] | None = None, warnings: Sequence[str] = (),
    metadata_value: Callable[[str, Any], Any] | None = None,
) -> SourceTable:  # fmt: skip
    """Describe a table whose columns are sorted.

    Parameters
    ----------
    change
        Called with the identity of each batch.
    names
        What columns are called in the lake, over what their dialect says.
    metadata_value
        Called with the name and the values of each column of metadata; gives the values that are kept.
    """

    def batches() -> Iterator[Batch]:
        texts = list(dict.fromkeys((*layout.identity.values(), *layout.metadata)))
        for rows in raw.read(layout.features, texts):
            identity = identity_table(rows, layout.identity, raw.name)
            for name, value in layout.fixed.items():
                identity = identity.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
            kept: dict[str, Any] = {
                column: rows[column] if metadata_value is None else metadata_value(column, rows[column])
                for column in layout.metadata
            }
            yield Batch(
                identity=identity if change is None else change(identity),
                features=rows.select(list(layout.features)),
                metadata=pa.table(kept),
            )

    return SourceTable(
        level=level,
        object_set=object_set,
        name=raw.name,
        files=(raw.path,),
        features=layout.features,
        batches=batches,
        metadata=layout.metadata,
        texts=layout.texts,
        others=layout.others,
        names=names or {},
        warnings=tuple(warnings),
        size=raw.size,
        read=raw.done,
    )


def tool_names(
    dialect: str, columns: Sequence[str], object_set: str | None, options: Options
) -> tuple[dict[str, FeatureName], dict[str, str]]:
    """Name the columns of a tool whose names tell their channels.

    A channel has the role that is given (``--role``), the role that it is named after, the one that its stain tells, or
    its own name. A role that two channels would have by their names goes to neither.

    Returns
    -------
    dict
        Column → what it is.
    dict
        Channel → role, of the channels whose role is not their own name.

    Raises
    ------
    UsageError
        A role is given to a channel that no column names.
    """
    tool = TOOL_OF[dialect]
    reads = (take_apart(tool, column, object_set) for column in columns)
    channels = list(dict.fromkeys(channel for read in reads if read is not None for channel in read.channels))
    roles = given_roles(options.roles, channels)
    claims = {channel: _own_role(channel) for channel in channels if channel not in roles}
    wanted_roles = [*roles.values(), *(role for role in claims.values() if role)]
    for channel, claimed in claims.items():
        own = claimed if claimed is None or wanted_roles.count(claimed) == 1 else _plain(channel)
        if own is not None and own[:1].isalpha():
            roles[channel] = own
    return {column: translate(dialect, column, object_set, roles) for column in columns}, {
        channel: role for channel, role in roles.items() if role != channel
    }


def _own_role(channel: str) -> str | None:
    return enum_value("ChannelRole", channel) or guess_role(channel, None, None, None)


def _plain(channel: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "", channel)


def not_numbers(dialect: str, raw: RawTable, layout: Layout, object_set: str | None) -> list[str]:
    """Say which columns have the name of a feature and hold text, so that they are not imported."""
    lost = [column for column in (*layout.texts, *layout.metadata) if translate(dialect, column, object_set).name]
    lost = [column for column in lost if column not in raw.numbers]
    check_numbers(raw, lost)
    if not lost:
        return []
    return [f"{raw.name}: {len(lost)} features hold text in the first rows and are left out: {listed(lost, 5)}"]


def from_zero(identity: pa.Table, first: int) -> pa.Table:
    """Return the identity with time points that begin at 0, where the table begins to count at ``first``."""
    if first == 0 or "timepoint" not in identity.column_names:
        return identity
    at = identity.column_names.index("timepoint")
    return identity.set_column(at, "timepoint", pc.subtract(identity["timepoint"], first))
