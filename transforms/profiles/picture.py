"""The wells of studies as points, for looking at: read from the lake, embedded, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import NotFoundError
from ...store.registry import resolve_profiles
from ...wording import listed
from .embedding import embed, embedding_picture
from .gather import profile_rows
from .matrix import ProfileMatrix
from .steps import stacked
from .wells import annotate, annotated_wells

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_SHOWN = 3
#: What a well is called, the first that is known.
_LABELS = ("perturbation", "compound", "gene", "control_name", "control_type")


def profile_picture(
    root: LakeRoot, *, profile_set: str, study_ids: Sequence[str], method: str = "umap", seed: int = 0
) -> bytes:
    """Draw the wells of a profile set, by what they were treated with; controls are crosses.

    Parameters
    ----------
    profile_set
        ``name@version``, a name or a hash.
    study_ids
        Studies whose wells are drawn, excluded wells left out.
    method, seed
        See :func:`.embedding.embed`.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    NotFoundError
        There is no such profile set, or no well of it in these studies.
    InvalidDataError
        There are too few wells, or no feature has a value in all of them.
    MissingExtraError
        umap-learn is needed and not installed.
    """
    found = resolve_profiles(root, profile_set)
    parts = [_wells(root, found.table("well"), study) for study in study_ids]
    matrix = stacked(parts)
    if not len(matrix):
        raise NotFoundError(
            f"profile set {found.label} has no wells of {listed(list(study_ids), _SHOWN)}",
            hint="make them with `cytolake profile`",
        )
    rows = matrix.rows.select([name for name in _LABELS if name in matrix.rows.column_names]).to_pylist()
    kinds = matrix.column("control_type")
    title = f"{found.label}: wells of {listed(list(study_ids), _SHOWN)}"
    return embedding_picture(
        embed(matrix, method=method, seed=seed),
        [_label(row) for row in rows],
        title=title,
        controls=np.array([kind not in (None, "treatment") for kind in kinds], dtype=bool),
        axes={"umap": "UMAP", "pca": "the first two principal components"}[method],
    )


def _wells(root: LakeRoot, table: str, study: str) -> ProfileMatrix:
    wells = annotated_wells(root, study)
    matrix = profile_rows(root.tables.read(table, where={"study_id": study}), f"study {study}", [])
    matrix = ProfileMatrix(rows=annotate(matrix.rows, wells), features=matrix.features, values=matrix.values)
    return matrix.select_rows(np.array([out is not True for out in matrix.column("excluded")], dtype=bool))


def _label(row: Mapping[str, Any]) -> str | None:
    return next((str(row[name]) for name in _LABELS if row.get(name)), None)
