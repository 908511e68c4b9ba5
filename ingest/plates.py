"""The plates of one export into the lake, one after the other: pixels and rows, roles that were named, annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CytolakeError, UsageError
from ..store.root import LakeRoot
from ..wording import listed
from .annotation.apply import annotate_export, check_annotation
from .channels import apply_roles
from .convert import Progress, ingest_export
from .export import PlateExport
from .plan import Existing
from .roles import change_roles

_LIST_AT_MOST = 5


def ingest_plates(
    root: LakeRoot,
    exports: Sequence[PlateExport],
    *,
    study_id: str,
    plate_id: str | None,
    maps: Sequence[Path],
    roles: Mapping[str, str],
    keep_unknown: bool,
    accept_valid: bool,
    existing: Existing,
    by_reference: bool,
    workers: int | None,
    dry_run: bool,
    progress: Progress | None,
) -> dict[str, Any]:
    """Bring plates into a study; the arguments and what is returned are those of :meth:`cytolake.lake.Lake.ingest`.

    Raises
    ------
    UsageError
        Several plates shall have one name.
    CytolakeError
        Plate maps are wrong; or the plate cannot be brought in, of several not one.
    """
    if plate_id is not None and len(exports) > 1:
        raise UsageError(
            f"the export holds {len(exports)} plates, which cannot all be called {plate_id!r}: "
            f"{listed([one.plate_id for one in exports], _LIST_AT_MOST)}",
            hint="Leave the plate name out; each is called as the export calls it.",
        )
    exports = [apply_roles(one, roles) for one in exports]
    how = {"keep_unknown": keep_unknown, "accept_valid": accept_valid}
    checked: dict[str, Any] | None = None
    if maps or dry_run:
        checked = check_annotation(root, exports, maps, study_id=study_id, plate_id=plate_id, **how)

    def ingest_one(export: PlateExport) -> dict[str, Any]:
        report = ingest_export(
            root,
            export,
            study_id=study_id,
            plate_id=plate_id,
            existing=existing,
            by_reference=by_reference,
            workers=workers,
            dry_run=dry_run,
            progress=progress,
        )
        (plate,) = report["plates"]
        if roles and plate["action"] in ("skip", "extend"):
            # What was there before kept its rows, roles and all.
            _add(report, change_roles(root, roles, study_id=study_id, plate_id=plate["plate_id"], dry_run=dry_run))
        if not dry_run:
            _add(report, annotate_export(root, export, maps, study_id=study_id, plate_id=plate["plate_id"], **how))
        return report

    reports: list[dict[str, Any]] = []
    failures: list[tuple[str, CytolakeError]] = []
    for export in exports:
        try:
            reports.append(ingest_one(export))
        except CytolakeError as error:
            # What is wrong with one plate says nothing of the others.
            failures.append((export.plate_id, error))
    report = _together(reports, failures)
    if checked is not None:
        report["annotation"] = {"rows": checked["rows"], "errors": checked["errors"]}
        report["warnings"] += checked["warnings"] if dry_run else []
        if checked["errors"]:
            report["status"] = "partial"
    return report


def _add(report: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what was done to a plate beside its ingest, which itself may have been skipped."""
    report["warnings"] += more["warnings"]
    if report["status"] == "skipped" and more["run_id"]:
        report |= {"status": "ok", "run_id": more["run_id"]}


def _together(reports: Sequence[Mapping[str, Any]], failures: Sequence[tuple[str, CytolakeError]]) -> dict[str, Any]:
    """Report several plates of one export as one: the worst status, everything else side by side."""
    if failures and not reports:
        (_, first), *others = failures
        if others:
            first.message += f" ({listed([plate_id for plate_id, _ in others], _LIST_AT_MOST)} failed too)"
        raise first
    statuses = {"partial"} if failures else {report["status"] for report in reports}
    return {
        "run_id": next((report["run_id"] for report in reports if report["run_id"]), None),
        "status": next((s for s in ("partial", "ok") if s in statuses), "skipped"),
        "plates": [plate for report in reports for plate in report["plates"]],
        "warnings": [warning for report in reports for warning in report["warnings"]],
        "errors": [
            {"plate_id": plate_id, "code": error.code, "message": error.message, "hint": error.hint}
            for plate_id, error in failures
        ],
    }
