"""The part of the façade about plates and their images: brought in, described, measured, looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .featurestore import PathLike, Progress, paths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.images.plate import Plate
    from .store.root import LakeRoot

Existing = Literal["error", "skip", "replace", "extend"]
PlateFormat = int | str | tuple[int, int]


class Imaging:
    """What a lake can do with plates and their images; :class:`.lake.Lake` is one."""

    root: LakeRoot

    def ingest(
        self,
        export: PathLike,
        *,
        study: str,
        plate: str | None = None,
        plate_map: PathLike | Sequence[PathLike] = (),
        keep_unknown: bool = False,
        accept_valid: bool = False,
        roles: Mapping[str, str] | None = None,
        existing: Existing = "error",
        by_reference: bool = False,
        workers: int | None = None,
        dry_run: bool = False,
        reader: str | None = None,
        pattern: str | None = None,
        pixel_size_um: float | None = None,
        plate_format: PlateFormat | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Bring the plates of a vendor export into a study.

        Parameters
        ----------
        export
            Folder (or index file) of the export.
        study, plate
            Where it belongs; a plate is called as the export calls it when no name is given.
        plate_map
            Annotation of the wells, one file or several that complete each other; checked whole before a pixel is
            converted.
        keep_unknown, accept_valid
            How plate maps are read, as in :meth:`annotate`.
        roles
            Channel name to role (``{"Alexa 488": "ER"}``), over what was recognised, and over what the lake says of
            a plate that is there.
        existing
            What to do with a plate that is there: ``error``, ``skip``, ``replace``, ``extend``.
        by_reference
            Leave the full-size pixels of an OME-Zarr plate where they are, and write everything else.
        workers
            Threads; one per core when None.
        dry_run
            Say what would happen and write nothing.
        reader
            Name of the reader; found by content when None.
        pattern
            For a folder of TIFF files: a preset of file names, or a regular expression with named groups.
        pixel_size_um
            Side of a pixel at the sample; counts before what the files say, with a warning where they differ.
        plate_format
            Wells of the plate (``96``) or its rows and columns (``"8x12"``); counts before what the files say.
        progress
            Called with (fields done, fields in all).

        Returns
        -------
        dict
            ``run_id``, ``status``, ``plates``, ``warnings``, ``errors``, as the command line documents them; with plate
            maps, or in a dry run, ``annotation`` with the ``rows`` that change and the ``errors`` of rows left out.

        Raises
        ------
        CytolakeError
            The plate cannot be brought in; of several plates, not one. Where some can, the others are in ``errors``,
            each with its ``plate_id``, and ``status`` is ``partial``.
        """
        from .ingest.plates import ingest_plates
        from .ingest.readers import read_export, reader_options

        options = reader_options(pattern=pattern, pixel_size_um=pixel_size_um, plate_format=plate_format)
        return ingest_plates(
            self.root,
            read_export(export, reader, options),
            study_id=study,
            plate_id=plate,
            maps=paths(plate_map),
            roles=roles or {},
            keep_unknown=keep_unknown,
            accept_valid=accept_valid,
            existing=existing,
            by_reference=by_reference,
            workers=workers,
            dry_run=dry_run,
            progress=progress,
        )

    def annotate(
        self,
        files: PathLike | Sequence[PathLike],
        *,
        study: str,
        plate: str | None = None,
        replace: bool = False,
        keep_unknown: bool = False,
        accept_valid: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Say what is in the wells: plate maps and sample sheets to validated rows, all of them or none.

        ``files`` are CSV, TSV (both perhaps compressed) and XLSX; ``FILE.xlsx#Sheet`` is one sheet of a workbook, a
        folder is the ``barcode_platemap.csv`` in it. ``replace`` lets them overrule what the lake holds. ``dry_run``
        says what would happen, with all ``contradictions``, and writes nothing.
        """
        from .ingest.annotation.apply import annotate

        return annotate(
            self.root,
            study_id=study,
            plate_id=plate,
            files=paths(files),
            replace=replace,
            keep_unknown=keep_unknown,
            accept_valid=accept_valid,
            dry_run=dry_run,
        )

    def exclude(
        self,
        wells: str | Sequence[str],
        *,
        study: str,
        plate: str | None = None,
        reason: str | None = None,
        include: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Leave wells out of the views for a reason, or, with ``include``, take them in again.

        ``wells`` are names (``B03``) and rectangles (``A01:C12``).
        """
        from .ingest.annotation.exclude import exclude_wells

        return exclude_wells(
            self.root,
            study_id=study,
            plate_id=plate,
            wells=[wells] if isinstance(wells, str) else list(wells),
            reason=reason,
            include=include,
            dry_run=dry_run,
        )

    def remove(
        self, *, study: str, plate: str | None = None, reason: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Remove a plate, or a study with all its plates: from every table in one commit.

        History keeps the rows, and the images stay on the disk: nothing takes them away but somebody who deletes the
        folders in ``kept``.
        """
        from .ingest.removal import remove

        return remove(self.root, study_id=study, plate_id=plate, reason=reason, dry_run=dry_run)

    def transform(
        self,
        *,
        study: str,
        plates: Sequence[str] = (),
        recipe: PathLike = "nuclei",
        roles: Mapping[str, str] | None = None,
        device: str = "auto",
        workers: int | None = None,
        scheduler: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Segment and measure plates of a study; see :func:`cytolake.transforms.engine.transform`."""
        from .transforms.engine import transform

        return transform(
            self.root,
            study_id=study,
            plate_ids=plates,
            recipe=str(recipe),
            roles=roles,
            device=device,
            workers=workers,
            scheduler=scheduler,
            progress=progress,
        )

    def preview(
        self,
        count: int,
        *,
        study: str,
        output: PathLike,
        plates: Sequence[str] = (),
        recipe: PathLike = "nuclei",
        roles: Mapping[str, str] | None = None,
        device: str = "auto",
        workers: int | None = None,
        scheduler: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Run a recipe on some fields and write one HTML page; see :func:`cytolake.transforms.preview.run.preview`."""
        from .transforms.preview.run import preview

        return preview(
            self.root,
            study_id=study,
            count=count,
            output=Path(output),
            plate_ids=plates,
            recipe=str(recipe),
            roles=roles,
            device=device,
            workers=workers,
            scheduler=scheduler,
            progress=progress,
        )

    def report(
        self,
        *,
        study: str,
        output: PathLike,
        plates: Sequence[str] = (),
        png: PathLike | None = None,
        feature_set: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Write the quality report of plates as one HTML file; see :func:`cytolake.transforms.report.report`."""
        from .transforms.report import report

        return report(
            self.root,
            study_id=study,
            plate_ids=plates,
            output=output,
            png=png,
            feature_set=feature_set,
            progress=progress,
        )

    def tracks(
        self,
        *,
        study: str,
        plate: str,
        well: str | None = None,
        field: int | None = None,
        acquisition: int | None = None,
        feature_set: str | None = None,
        picture: PathLike | None = None,
        overlay: PathLike | None = None,
    ) -> dict[str, Any]:
        """Say what was followed over time on a plate, and draw lineages and ways of one field as PNG.

        See :func:`cytolake.transforms.tracking.reading.tracks`.
        """
        from .transforms.tracking.reading import tracks

        return tracks(
            self.root,
            study_id=study,
            plate_id=plate,
            well=well,
            field=field,
            acquisition=acquisition,
            feature_set=feature_set,
            picture=picture,
            overlay=overlay,
        )

    def plate(self, study: str, plate: str) -> Plate:
        """Open the images of a plate.

        Raises
        ------
        NotFoundError
            The lake has no such plate.
        """
        from .store.images.plate import open_plate
        from .store.plates import imaged_plates

        found = imaged_plates(self.root, study, [plate], columns=["path"])
        return open_plate(self.root.storage, found[0]["path"])

    def illumination(
        self, study: str, plate: str, *, acquisition: int = 1, export: PathLike | None = None
    ) -> list[NDArray[np.float32] | None]:
        """Give how evenly each channel was lit, as the microscope measured it: (y, x) of mean 1, None where unknown.

        The pixels of a lake are never changed; :func:`cytolake.store.images.correct` divides what was read by these.
        ``export`` is the folder that the plate came from, for microscopes that keep an image instead of a formula.

        Raises
        ------
        NotFoundError
            The lake has no such plate, or the profile is an image and ``export`` is not given.
        """
        from .ingest.illumination import profiles_of_plate

        return profiles_of_plate(self.root, study_id=study, plate_id=plate, acquisition_id=acquisition, folder=export)

    def estimate_illumination(
        self,
        *,
        study: str,
        plates: Sequence[str] = (),
        method: str = "auto",
        images: int = 200,
        min_images: int = 16,
        dark_level: float = 0.0,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Estimate how evenly each channel of plates was lit, from their own images, and keep the profiles with them.

        A recipe that asks for the same takes them from there. The settings are those of its table ``[illumination]``;
        see :func:`cytolake.transforms.illumination.report.estimate_illumination` for what comes back.
        """
        from .transforms.illumination.report import estimate_illumination
        from .transforms.illumination.settings import IlluminationSettings

        settings = IlluminationSettings(method=method, images=images, min_images=min_images, dark_level=dark_level)
        return estimate_illumination(self.root, study_id=study, plate_ids=plates, settings=settings, progress=progress)

    def illumination_picture(
        self,
        *,
        study: str,
        plates: Sequence[str] = (),
        method: str = "auto",
        images: int = 200,
        min_images: int = 16,
        dark_level: float = 0.0,
    ) -> bytes:
        """Draw mean images with and without the profiles of :meth:`estimate_illumination`, as PNG."""
        from .transforms.illumination.report import illumination_picture
        from .transforms.illumination.settings import IlluminationSettings

        settings = IlluminationSettings(method=method, images=images, min_images=min_images, dark_level=dark_level)
        return illumination_picture(self.root, study_id=study, plate_ids=plates, settings=settings)
