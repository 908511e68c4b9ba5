"""What one Yokogawa measurement adds to its plate: planes first and, once all are told, acquisitions and channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import InvalidDataError, SourceFileError
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo
from ..moments import moment
from ..pixels import SourceFile
from ..planes import BuiltPlanes, ExportFiles, PlaneTables, safe_path
from ..readers import ReaderOptions
from .cellvoyager_files import Measurement, correction_images
from .cellvoyager_index import Problem, Record
from .cellvoyager_optics import acquisition_info, channel_infos, geometry_of, label_of
from .cellvoyager_series import Acquisition, arrange, distinct, group

_LIST_AT_MOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A measurement arranged into acquisitions, of which the first has the number ``first``.

    ``paths`` are the files of the records, by their position, below the export's root.
    """

    measurement: Measurement
    first: int
    acquisitions: Sequence[Acquisition]
    paths: Mapping[int, str]
    flatfields: Mapping[int, Mapping[str, Any]]
    warnings: list[str]

    @classmethod
    def of(
        cls, measurement: Measurement, first: int, files: ExportFiles, options: ReaderOptions, warnings: list[str]
    ) -> Part:
        """Arrange a measurement.

        Raises
        ------
        InvalidDataError
            There is no image, a number cannot be one, or nothing says the size of pixels.
        SourceFileError
            A record names a file outside the export, or the file of another record.
        """
        name = str(measurement.index)
        records = distinct(measurement.data.records, warnings)
        _warn_of_problems(measurement.data.problems, warnings)
        if not records:
            raise InvalidDataError(f"{name} records no image", hint="Was the measurement stopped before its first one?")
        paths = _paths(records, measurement, name)
        channels = sorted({r.channel for r in records})
        if measurement.detail and not measurement.detail.channels.keys() >= set(channels):
            unknown = ", ".join(str(c) for c in channels if c not in measurement.detail.channels)
            warnings.append(f"channels {unknown} were acquired, but the .mrf does not describe them")

        def image_size(channel: int) -> tuple[int, int] | None:
            for r in records:
                if r.channel == channel and measurement.locator.is_there(paths[r.position]):
                    with closing(SourceFile(files.root / paths[r.position])) as source:
                        return source.plane_format()[0]
            return None

        geometries = {
            channel: geometry_of(channel, measurement.detail, options, partial(image_size, channel), name, warnings)
            for channel in channels
        }
        actions = measurement.setting.actions if measurement.setting else {}
        return cls(
            measurement=measurement,
            first=first,
            acquisitions=arrange(group(records, name), geometries, actions, warnings),
            paths=paths,
            flatfields=correction_images(measurement, channels, warnings),
            warnings=warnings,
        )

    def tell(self, tables: PlaneTables) -> None:
        """Tell each plane."""
        unzoned = 0
        for acquisition_id, acquisition in enumerate(self.acquisitions, start=self.first):
            indices = {channel: index for index, channel in enumerate(acquisition.channels)}
            for series in acquisition.series:
                for r, t, z in zip(series.records, series.t, series.z, strict=True):
                    acquired_at, zoned = moment(r.time)
                    unzoned += not zoned
                    tables.add(
                        row=r.row,
                        column=r.column,
                        field_id=r.field,
                        channel_index=indices[series.channel],
                        file=self.paths[r.position],
                        acquisition_id=acquisition_id,
                        timepoint=t,
                        z=z,
                        x_um=r.x_um,
                        # The stage's Y points up in the image, rows count down.
                        y_um=None if r.y_um is None else 0.0 - r.y_um,
                        z_um=r.z_um,
                        acquired_at=acquired_at,
                    )
        if unzoned:
            self.warnings.append("times of acquisition name no time zone; they are taken as UTC")

    def describe(
        self,
        built: BuiltPlanes,
        acquisitions: list[AcquisitionInfo],
        channels: list[ChannelInfo],
        warnings: list[str],
    ) -> None:
        """Add what the finished tables and the files say of each acquisition and its channels."""
        detail, setting = self.measurement.detail, self.measurement.setting
        name = str(self.measurement.index)
        facts = detail.facts if detail else {}
        began, zoned = moment(facts.get("BeginTime"))
        ended, _ = moment(facts.get("EndTime"))
        if not zoned:
            warnings.append("the start of the measurement names no time zone; it is taken as UTC")
        for acquisition_id, acquisition in enumerate(self.acquisitions, start=self.first):
            own, about_roles = guess_roles(
                channel_infos(acquisition, acquisition_id, detail, setting, self.flatfields, name)
            )
            warnings += about_roles
            names = [c.name for c in own]
            for shared in dict.fromkeys(n for n in names if names.count(n) > 1):
                ids = ", ".join(c.vendor_id for c in own if c.name == shared)
                warnings.append(f"channels {ids} are all called {shared!r}; their ids tell them apart")
            channels += own
            span = built.span(acquisition_id)
            acquisitions.append(
                acquisition_info(
                    acquisition,
                    acquisition_id,
                    own,
                    detail,
                    setting,
                    label_of(acquisition, self.acquisitions),
                    started_at=began or span[0],
                    ended_at=ended or span[1],
                    z_step_um=built.z_step_um(acquisition_id, warnings),
                    time_interval_s=built.time_interval_s(acquisition_id),
                )
            )


def _paths(records: Sequence[Record], measurement: Measurement, name: str) -> dict[int, str]:
    """Return the file of each record; no two records are one file."""
    found: dict[int, str] = {}
    first_with: dict[str, Record] = {}
    for r in records:
        path = measurement.locator.locate(safe_path(r.file, f"{name}, record {r.position},"))
        other = first_with.setdefault(path.lower(), r)
        if other is not r:
            raise SourceFileError(
                f"{name}: records {other.position} and {r.position} tell different planes and are one file, {path}",
                hint="Images of several folders or measurements may have been put into one; copy them again apart.",
            )
        found[r.position] = path
    return found


def _warn_of_problems(problems: Sequence[Problem], warnings: list[str]) -> None:
    for kind in dict.fromkeys(p.kind for p in problems):
        own = [p for p in problems if p.kind == kind]
        shown = "; ".join(f"{p.text[:120]} ({p.where})" for p in own[:_LIST_AT_MOST])
        more = " …" if len(own) > _LIST_AT_MOST else ""
        count = f"{len(own)} {kind} record{'s' * (len(own) > 1)}"
        warnings.append(f"{count}; an image that was not taken is expected only where another names it: {shown}{more}")
