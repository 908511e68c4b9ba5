"""The part of the façade about tables of features: brought in, made into profiles, named, checked, handed out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .store.root import LakeRoot

Progress = Callable[[int, int], None]
PathLike = str | Path


def paths(given: PathLike | Sequence[PathLike]) -> list[Path]:
    """Return one path or several as a list."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(one) for one in given]


class FeatureStore:
    """What a lake can do with tables of features; :class:`.lake.Lake` is one."""

    root: LakeRoot

    def import_tables(
        self,
        files: PathLike | Sequence[PathLike],
        *,
        study: str,
        plate: str | None = None,
        dialect: str | None = None,
        name: str | None = None,
        mapping: PathLike | None = None,
        pipeline: PathLike | None = None,
        roles: Mapping[str, str] | None = None,
        existing: Literal["error", "skip", "replace"] = "error",
        precision: Literal["float32", "float64"] = "float32",
        plate_format: int | str | tuple[int, int] | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Bring in tables of features made elsewhere; see :func:`cytolake.ingest.tables.run.import_tables`."""
        from .ingest.tables.run import import_tables

        return import_tables(
            self.root,
            paths(files),
            study_id=study,
            plate_id=plate,
            dialect=dialect,
            name=name,
            mapping=None if mapping is None else Path(mapping),
            pipeline=None if pipeline is None else Path(pipeline),
            roles=roles or {},
            existing=existing,
            precision=precision,
            plate_format=plate_format,
            dry_run=dry_run,
            progress=progress,
        )

    def profile(
        self,
        *,
        study: str | Sequence[str],
        plates: Sequence[str] = (),
        recipe: PathLike = "standard",
        source: str | None = None,
        apply: str | None = None,
        like: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Make profiles of wells and treatments; see :func:`cytolake.transforms.profiles.engine.profile`."""
        from .transforms.profiles.engine import profile

        return profile(
            self.root,
            study_ids=[study] if isinstance(study, str) else list(study),
            plate_ids=plates,
            recipe=str(recipe),
            source=source,
            apply=apply,
            like=like,
            progress=progress,
        )

    def profile_picture(
        self, profile_set: str, *, study: str | Sequence[str], method: str = "umap", seed: int = 0
    ) -> bytes:
        """Draw wells as points, a PNG; see :func:`cytolake.transforms.profiles.picture.profile_picture`."""
        from .transforms.profiles.picture import profile_picture

        studies = [study] if isinstance(study, str) else list(study)
        return profile_picture(self.root, profile_set=profile_set, study_ids=studies, method=method, seed=seed)

    def feature_sets(self, *, study: str | None = None) -> list[dict[str, Any]]:
        """List feature sets and profile sets; see :func:`cytolake.catalog.sets.list_sets`."""
        from .catalog.sets import list_sets

        return list_sets(self.root, study_id=study)

    def feature_set(self, reference: str) -> dict[str, Any]:
        """Describe one feature set or profile set; see :func:`cytolake.catalog.sets.show_set`."""
        from .catalog.sets import show_set

        return show_set(self.root, reference)

    def diff_feature_sets(
        self,
        one: str,
        other: str,
        *,
        study: str | None = None,
        plates: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Say what changed between two sets; see :func:`cytolake.catalog.sets_diff.diff_sets`."""
        from .catalog.sets_diff import diff_sets

        return diff_sets(self.root, one, other, study_id=study, plate_ids=plates, progress=progress)

    def use_feature_set(
        self, reference: str | None, *, study: str, kind: Literal["features", "profiles"] | None = None
    ) -> dict[str, Any]:
        """Choose what the views show of a study; None goes back to what the newest run wrote.

        See :func:`cytolake.store.current.choose` and :func:`cytolake.store.current.forget`.
        """
        from .store.current import choose, forget

        if reference is None:
            return forget(self.root, study_id=study, kind=kind)
        return choose(self.root, reference, study_id=study, kind=kind)

    def check_features(
        self,
        *,
        study: str,
        plates: Sequence[str] = (),
        source: str | None = None,
        reference: str | None = None,
        recipe: PathLike | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Say how good features are; see :func:`cytolake.transforms.profiles.quality.check_features`."""
        from .transforms.profiles.quality import check_features

        return check_features(
            self.root,
            study_id=study,
            plate_ids=plates,
            source=source,
            reference=reference,
            recipe=None if recipe is None else Path(recipe),
            progress=progress,
        )

    def quality_picture(self, *, study: str, source: str | None = None) -> bytes:
        """Draw what the last check of features found, plate by plate, as a PNG.

        See :func:`cytolake.transforms.profiles.quality_picture.quality_picture`.
        """
        from .transforms.profiles.quality_picture import quality_picture

        return quality_picture(self.root, study_id=study, source=source)

    def create_release(
        self, name: str, *, note: str | None = None, accept_quality: str | None = None
    ) -> dict[str, Any]:
        """Name the versions that all tables have now; see :func:`cytolake.store.releases.create_release`."""
        from .store.releases import create_release

        return create_release(self.root, name, note=note, accept_quality=accept_quality)

    def releases(self, *, check: bool = False) -> list[dict[str, Any]]:
        """List the releases, oldest first; ``check`` says of each whether all of its files are there."""
        from .store.release_files import list_releases

        return list_releases(self.root, check=check)

    def release(self, name: str) -> dict[str, Any]:
        """Describe one release, withdrawn or not; see :func:`cytolake.store.release_files.show_release`."""
        from .store.release_files import show_release

        return show_release(self.root, name)

    def diff_releases(self, one: str, other: str = "now") -> dict[str, Any]:
        """Say what changed between two releases; see :func:`cytolake.store.release_diff.diff_releases`."""
        from .store.release_diff import diff_releases

        return diff_releases(self.root, one, other)

    def withdraw_release(self, name: str, *, reason: str) -> dict[str, Any]:
        """Withdraw a release for a reason, so that what only it needs can be removed."""
        from .store.releases import withdraw_release

        return withdraw_release(self.root, name, reason=reason)

    def maintain(self, *, dry_run: bool = False, progress: Progress | None = None) -> dict[str, Any]:
        """Compact tables, remove files that no release and no week-old reader needs, sweep leftovers."""
        from .store.maintenance import maintain

        return maintain(self.root, dry_run=dry_run, progress=progress)

    def export(
        self,
        table: str,
        output: PathLike,
        *,
        where: str | None = None,
        study: str | None = None,
        plates: Sequence[str] = (),
        as_of: str | None = None,
        format: str | None = None,
        layout: Literal["pycytominer", "plain"] | None = None,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """Write a table or view as AnnData, Parquet or CSV; see :func:`cytolake.catalog.export.export`."""
        from .catalog.export import export

        return export(
            self.root,
            table,
            Path(output),
            where=where,
            study=study,
            plates=plates,
            as_of=as_of,
            format=format,
            layout=layout,
            overwrite=overwrite,
        )
