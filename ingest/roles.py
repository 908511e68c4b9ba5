"""Roles of channels that are in the lake already: named later, or named again.

What a stain shows is often known only after the plate was ingested. The tables are the truth about roles; what the
plate's own OME-Zarr attributes say of them stays as it was written with the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..schemas.tables import arrow_schema
from ..store.commit import Commit
from ..store.lineage import Run
from ..store.plates import locked
from ..store.root import LakeRoot
from .channels import assign_roles
from .export import ChannelInfo
from .rows import table_of


def change_roles(
    root: LakeRoot, roles: Mapping[str, str], *, study_id: str, plate_id: str, dry_run: bool = False
) -> dict[str, Any]:
    """Give the channels of a plate in the lake the roles that a person names.

    Parameters
    ----------
    roles
        Channel -> role, as :func:`.channels.assign_roles` takes them.
    dry_run
        Say what would change and write nothing.

    Returns
    -------
    dict
        ``run_id``, None where nothing was written, and ``warnings``: one per channel whose role changed.

    Raises
    ------
    UsageError
        As :func:`.channels.assign_roles`.
    ConflictError
        The plate is being ingested or annotated.
    """
    nothing: dict[str, Any] = {"run_id": None, "warnings": []}
    _, said = _changed(root, roles, study_id=study_id, plate_id=plate_id)
    if not said or dry_run:
        return nothing | {"warnings": said}
    with locked(root, study_id, [plate_id]):
        rows, said = _changed(root, roles, study_id=study_id, plate_id=plate_id)
        if not said:
            return nothing
        run = Run.start("ingest", study_id=study_id, plate_ids=(plate_id,), parameters={"roles": dict(roles)})
        for warning in said:
            run.warn(warning)
        run.add_output("table", "channels", rows=len(said))
        with Commit(root, run_id=run.run_id, app_id=f"ingest/{study_id}/{plate_id}") as commit:
            table = table_of("channels", [row | {"run_id": row["run_id"] or run.run_id} for row in rows])
            commit.replace("channels", {"study_id": study_id, "plate_id": plate_id}, table)
            commit.append("runs", run.record("ok"))
            commit.commit()
    return {"run_id": run.run_id, "warnings": said}


def _changed(
    root: LakeRoot, roles: Mapping[str, str], *, study_id: str, plate_id: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the plate's rows of ``channels``, those that change without a run, and what changes in words."""
    where = {"study_id": study_id, "plate_id": plate_id}
    rows = root.tables.read("channels", columns=list(arrow_schema("channels").names), where=where).to_pylist()
    channels = [
        ChannelInfo(
            acquisition_id=row["acquisition_id"],
            channel_index=row["channel_index"],
            name=row["name"],
            vendor_id=row["vendor_id"] or "",
            role=row["role"],
        )
        for row in rows
    ]
    named, _ = assign_roles(channels, roles, plate_id=plate_id)
    said: dict[str, None] = {}
    for row, channel in zip(rows, named, strict=True):
        if row["role"] != channel.role:
            before = f", no longer {row['role']}" if row["role"] else ""
            said[
                f"role of {channel.name} is now {channel.role or 'none'}{before}; features computed before keep their "
                "names: run transform again"
            ] = None
            row |= {"role": channel.role, "run_id": None}
    return rows, list(said)
