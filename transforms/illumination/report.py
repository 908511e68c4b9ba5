"""The verb: profiles of the plates of a study, estimated and kept, with what they are good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...store.commit import Commit
from ...store.images.plate import open_plate
from ...store.lineage import Run
from ...store.plates import LOCK_WAIT_S, imaged_plates
from .flatness import Flatness, flatness, mean_image
from .grids import Plane, area_means
from .plates import ChannelLight, PlateLight, Progress, grids_of, profiles_for
from .settings import IlluminationSettings

if TYPE_CHECKING:
    from ...store.images.light_picture import LightRow
    from ...store.root import LakeRoot

#: A channel of an acquisition of a plate: the row of ``channels``, its light, its mean image on a grid if it was read.
_Seen = tuple[Mapping[str, Any], ChannelLight, Plane | None]


def estimate_illumination(
    root: LakeRoot,
    *,
    study_id: str,
    plate_ids: Sequence[str] = (),
    settings: IlluminationSettings,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Estimate the light of plates and keep the profiles with them.

    Returns
    -------
    dict
        ``run_id``, ``status`` (``partial`` where images could not be read), ``channels``, ``warnings``. Each channel
        has ``plate_id``, ``acquisition_id``, ``channel_index``, ``channel``, ``role``, ``method``, ``images``,
        ``flatness_before`` and ``flatness_after`` (``cv``, ``corner_to_centre``), ``stored``, ``is_new``, ``reason``.

    Raises
    ------
    NotFoundError
        The study or a plate is not in the lake.
    StorageError
        A profile could not be kept.
    """
    rows = imaged_plates(root, study_id, plate_ids, columns=("path", "fingerprint"))
    run = Run.start(
        "illumination",
        study_id=study_id,
        plate_ids=tuple(row["plate_id"] for row in rows),
        parameters=settings.definition(),
    )
    channels: list[dict[str, Any]] = []
    failed = False
    for row in rows:
        for light, seen in _of_plate(root, study_id, row, settings, progress, with_means=False):
            channels += [_told(row["plate_id"], light.acquisition_id, *one) for one in seen]
            for warning in light.warnings:
                run.warn(warning)
            failed |= bool(light.unreadable)
        run.add_input("plate", row["path"], sha256=row["fingerprint"])
    for one in channels:
        if one["is_new"] and one["stored"]:
            detail = f"acquisition {one['acquisition_id']}, channel {one['channel']}"
            run.add_output("illumination", f"{one['plate_id']}: {one['stored']}", detail=detail)
    status = "partial" if failed else "ok"
    with Commit(root, run_id=run.run_id, app_id=f"illumination/{study_id}") as commit:
        commit.append("runs", run.record(status))
        commit.commit()
    return {"run_id": run.run_id, "status": status, "channels": channels, "warnings": run.warnings}


def illumination_picture(
    root: LakeRoot, *, study_id: str, plate_ids: Sequence[str] = (), settings: IlluminationSettings
) -> bytes:
    """Draw what :func:`estimate_illumination` found: mean images before and after, with the profile, as PNG."""
    from ...store.images.light_picture import light_picture

    drawn = []
    for row in imaged_plates(root, study_id, plate_ids, columns=("path", "fingerprint")):
        for light, seen in _of_plate(root, study_id, row, settings, None, with_means=True):
            drawn += [_drawn(row["plate_id"], light.acquisition_id, *one) for one in seen if one[2] is not None]
    return light_picture(drawn, title=f"illumination of {study_id}")


def _of_plate(
    root: LakeRoot,
    study_id: str,
    row: Mapping[str, Any],
    settings: IlluminationSettings,
    progress: Progress | None,
    *,
    with_means: bool,
) -> list[tuple[PlateLight, list[_Seen]]]:
    """Find the light of each acquisition of a plate, with mean images of the channels whose figures are not known."""
    plate_id = row["plate_id"]
    where = {"study_id": study_id, "plate_id": plate_id}
    found: list[tuple[PlateLight, list[_Seen]]] = []
    with root.storage.lock(f"plate-{study_id}-{plate_id}", wait=LOCK_WAIT_S, shared=True):
        plate = open_plate(root.storage, row["path"])
        rows = sorted(root.tables.read("channels", where=where).to_pylist(), key=lambda one: int(one["channel_index"]))
        measured = {key.acquisition_id for key in plate.fields()}
        for acquisition_id in sorted({one["acquisition_id"] for one in rows} & measured):
            own = [one for one in rows if one["acquisition_id"] == acquisition_id]
            light = profiles_for(
                plate, acquisition_id, settings, channels=own, fingerprint=row["fingerprint"], progress=progress
            )
            unknown = [
                one.channel_index
                for one in light.channels
                if with_means or (one.profile is not None and not one.before)
            ]
            stacks = grids_of(plate, acquisition_id, unknown, settings, progress)
            means = {index: mean_image(stack) for index, stack in stacks.items() if len(stack)}
            seen: list[_Seen] = [
                (o, one, means.get(one.channel_index)) for o, one in zip(own, light.channels, strict=True)
            ]
            found.append((light, seen))
    return found


def _figures(light: ChannelLight, mean: Plane | None) -> tuple[Flatness | None, Flatness | None]:
    """Give the figures of an estimate, else those of the mean image."""
    if light.before is not None or mean is None:
        return light.before, light.after
    before = flatness(mean)
    if light.profile is None:
        return before, None
    return before, flatness(mean, area_means(light.profile, (mean.shape[0], mean.shape[1])))


def _told(
    plate_id: str, acquisition_id: int, row: Mapping[str, Any], light: ChannelLight, mean: Plane | None
) -> dict[str, Any]:
    before, after = _figures(light, mean)
    return {
        "plate_id": plate_id,
        "acquisition_id": acquisition_id,
        "channel_index": light.channel_index,
        "channel": light.name,
        "role": row.get("role"),
        "method": light.method,
        "images": light.images,
        "flatness_before": None if before is None else asdict(before),
        "flatness_after": None if after is None else asdict(after),
        "stored": light.stored if light.profile is not None else None,
        "is_new": light.is_new,
        "reason": light.reason,
    }


def _drawn(
    plate_id: str, acquisition_id: int, row: Mapping[str, Any], light: ChannelLight, mean: Plane | None
) -> LightRow:
    from ...store.images.light_picture import LightRow

    assert mean is not None
    before, after = _figures(light, mean)
    profile = None if light.profile is None else area_means(light.profile, (mean.shape[0], mean.shape[1]))
    spread = "" if profile is None else f", {profile.min():.2f} to {profile.max():.2f}"
    role = f" ({row['role']})" if row.get("role") else ""
    return LightRow(
        title=f"{plate_id}, acquisition {acquisition_id}, {light.name}{role}",
        mean=mean,
        profile=profile,
        before="" if before is None else f"varies by {100 * before.cv:.1f} %",
        between=f"{light.method}{spread}",
        after="" if after is None or profile is None else f"varies by {100 * after.cv:.1f} %",
    )
