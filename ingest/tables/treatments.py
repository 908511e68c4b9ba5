"""Rows of treatments: what tells them apart, and what they are, in the columns of the lake."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError
from ...schemas.ontology import enum_values
from .contract import IDENTITY, Batch, SourceTable

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

_COLUMNS = ("treatment", "perturbation", "compound", "concentration_um", "gene", "control_type", "n_wells", "n_plates")


def treatment_rows(table: SourceTable, batch: Batch, seen: set[str]) -> pa.Table:
    """Return the identity of rows of treatments, as ``TreatmentRow`` has it.

    Parameters
    ----------
    seen
        Treatments that came before; is added to.

    Raises
    ------
    InvalidDataError
        A row does not say which treatment it is, or one comes twice.
    """
    given = batch.identity
    if "treatment" not in given.column_names or given["treatment"].null_count:
        raise InvalidDataError(
            f"{table.name}: rows do not say which treatment they are",
            hint="A table of treatments needs a column that names them, such as Metadata_broad_sample.",
        )
    treatments: list[Any] = given["treatment"].to_pylist()
    for name in treatments:
        if name in seen:
            raise InvalidDataError(
                f"{table.name}: treatment {name!r} comes more than once; nothing was imported",
                hint="Rows must differ in what names the treatment, such as compound and concentration.",
            )
        seen.add(name)
    columns: dict[str, Any] = {
        name: given[name].cast(IDENTITY[name]) for name in _COLUMNS if name in given.column_names
    }
    if "control_type" in columns:
        known = pc.is_in(columns["control_type"], value_set=pa.array(enum_values("ControlType")))
        columns["control_type"] = pc.if_else(known, columns["control_type"], pa.scalar(None, pa.string()))
    return pa.table(columns)
