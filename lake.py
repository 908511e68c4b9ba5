"""The façade: one lake, with everything that can be done to it.

It composes the three wings, which do not know one another, and holds no logic of its own. Whatever is heavy is
imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import UsageError
from .featurestore import FeatureStore
from .store.root import LakeRoot, init_root, open_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .catalog.query import Catalog
    from .catalog.result import Result
    from .store.images.plate import Plate

Progress = Callable[[int, int], None]
Existing = Literal["error", "skip", "replace", "extend"]
PathLike = str | Path
PlateFormat = int | str | tuple[int, int]


def init_lake(url: PathLike, *, name: str | None = None) -> Lake:
    """Make a lake in an empty or absent folder, or under an ``s3://`` prefix, and open it.

    Raises
    ------
    AlreadyExistsError
        There is a lake already, or the folder holds something else.
    ConfigurationError
        The place cannot hold a lake (no permission, no hard links).
    """
    return Lake(init_root(str(url), name=name))


def open_lake(url: PathLike) -> Lake:
    """Open a lake. Commits that were interrupted by a kill are finished first.

    Raises
    ------
    NotFoundError
        There is no lake.
    ConfigurationError
        The lake has a newer format than this version of cytolake knows.
    """
    return Lake(open_root(str(url)))


def inspect(
    export: PathLike,
    *,
    reader: str | None = None,
    pattern: str | None = None,
    pixel_size_um: float | None = None,
    plate_format: PlateFormat | None = None,
) -> dict[str, Any]:
    """Say what a vendor export is, from its metadata alone; keys as the command line documents them.

    ``pattern``, ``pixel_size_um`` and ``plate_format`` are those of :meth:`Lake.ingest`.

    Raises
    ------
    NotAnExportError
        No reader knows it; the message says what was looked at.
    """
    from .ingest.inspect import inspect_export
    from .ingest.readers import reader_options

    options = reader_options(pattern=pattern, pixel_size_um=pixel_size_um, plate_format=plate_format)
    return inspect_export(export, reader, options)


def inspect_picture(
    export: PathLike,
    *,
    reader: str | None = None,
    well: str | None = None,
    acquisition: int | None = None,
    pattern: str | None = None,
    pixel_size_um: float | None = None,
    plate_format: PlateFormat | None = None,
) -> bytes:
    """Draw the plates of an export, as PNG: wells with data, fields per well, missing planes; one well's fields.

    ``well`` is drawn with its fields where the stage took them, with pixels where their files are there; it is the
    first well with the most fields when None, and so is the ``acquisition``. The other arguments are those of
    :func:`inspect`.

    Raises
    ------
    NotAnExportError
        No reader knows it; the message says what was looked at.
    NotFoundError
        The export has no image of that well, or of that acquisition.
    """
    from .ingest.picture import draw
    from .ingest.readers import read_export, reader_options

    options = reader_options(pattern=pattern, pixel_size_um=pixel_size_um, plate_format=plate_format)
    return draw(read_export(export, reader, options), well=well, acquisition=acquisition)


def recipes() -> list[dict[str, Any]]:
    """List the recipes that come with cytolake: ``name``, ``verb``, ``description`` and ``text``.

    Those for ``transform`` have ``objects`` and ``families`` beside them, those for ``profile`` their ``steps``.
    """
    from .transforms.profiles.recipe import shipped_profile_recipes
    from .transforms.recipe import shipped_recipes

    return [recipe(name) for name in (*shipped_recipes(), *shipped_profile_recipes())]


def recipe(name: PathLike) -> dict[str, Any]:
    """Describe one recipe, shipped or a file, with the same keys as :func:`recipes`.

    Raises
    ------
    NotFoundError
        There is none of that name.
    RecipeError
        It is not a recipe.
    """
    from .transforms.profiles.recipe import is_profile_recipe, load_profile_recipe
    from .transforms.recipe import load_recipe

    if is_profile_recipe(str(name)):
        profiles = load_profile_recipe(str(name))
        return {
            "name": profiles.name,
            "verb": "profile",
            "description": " ".join(profiles.description.split()),
            "steps": [step.name for step in profiles.steps],
            "text": profiles.text,
        }
    found = load_recipe(str(name))
    return {
        "name": found.name,
        "verb": "transform",
        "description": " ".join(found.description.split()),
        "objects": [one.name for one in found.objects],
        "families": [use.family for use in found.features],
        "text": found.text,
    }


def roles() -> list[dict[str, Any]]:
    """List the roles that a channel may have: ``role``, and its ``aliases``; any other short name may be given too."""
    from .schemas.ontology import enum_aliases

    return [{"role": role, "aliases": list(aliases)} for role, aliases in enum_aliases("ChannelRole").items()]


def readers() -> list[dict[str, Any]]:
    """List the readers of vendor exports: ``name``, ``description``, ``presets`` (of file names, with an example)."""
    from .ingest.readers import describe_readers

    return describe_readers()


class Lake(FeatureStore):
    """An open lake; get one from :func:`open_lake` or :func:`init_lake`."""

    def __init__(self, root: LakeRoot) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"<Lake {self.name!r} at {self.url}>"

    @property
    def name(self) -> str:
        """The lake's own name."""
        return self.root.config.name

    @property
    def url(self) -> str:
        """Where the lake is: an absolute path or an ``s3://`` URL."""
        return self.root.url

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
            maps=_paths(plate_map),
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
            files=_paths(files),
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

    def sql(self, query: str, *, as_of: str | None = None) -> Result:
        """Ask a question in DuckDB's SQL over every table and view by name."""
        return self._catalog().sql(query, as_of=as_of)

    def table(self, name: str, where: str | None = None, as_of: str | None = None) -> Result:
        """Ask for the rows of a table or view: all, or those that satisfy ``where``, a condition in SQL."""
        return self._catalog().table(name, where=where, as_of=as_of)

    def tables(self) -> Any:
        """List the tables and views that can be asked."""
        return self._catalog().tables()

    def columns(self, table: str | None = None) -> Any:
        """List the columns of one table or view, or of all."""
        return self._catalog().columns(table)

    def features(self, search: str | None = None) -> Any:
        """Search the feature dictionary."""
        return self._catalog().features(search)

    def _catalog(self) -> Catalog:
        from .catalog.query import Catalog

        return Catalog(self.root)

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

    def lineage(self, row: str, *, forward: bool = False, treatment: str | None = None) -> dict[str, Any]:
        """Go from a row back to its pixels, recipe and code, or ``forward`` to all that was made from something.

        ``row`` is ``study/plate``, or that with ``/well``, ``/field``, ``/object set``, ``/object`` behind it;
        ``study/plate/well@standard`` is the well's row in a profile set, ``study@standard`` with ``treatment`` that of
        a treatment. Forward it may also be a study, or ``kind:name`` as the nodes of a graph are called: a source file
        (``file:`` or ``sha256:``), ``image:``, ``labels:``, ``feature_set:``, ``profile_set:``, ``fit:``, ``run:``,
        ``release:``, ``table:``.

        Returns
        -------
        dict
            See :func:`cytolake.store.lineage.trace` and :func:`cytolake.store.lineage.follow`.

        Raises
        ------
        NotFoundError
            The lake has no such row, or nothing was made from it.
        UsageError
            It names no row.
        """
        from .store.lineage import follow, parse_row, parse_start, trace

        if forward:
            if treatment is not None:
                raise UsageError("nothing is made from treatments", hint="follow study@SET, or leave out the treatment")
            return follow(self.root, parse_start(row))
        return trace(self.root, **parse_row(row), treatment=treatment)

    def lineage_picture(
        self,
        row: str | Mapping[str, Any],
        *,
        format: Literal["png", "svg"] = "png",
        forward: bool = False,
        treatment: str | None = None,
    ) -> bytes:
        """Draw lineage in layers, from files on the left to profiles on the right; nodes that are alike are one box.

        ``row`` is what :meth:`lineage` takes, or what it returned.
        """
        from .store.lineage.picture import draw

        graph = self.lineage(row, forward=forward, treatment=treatment) if isinstance(row, str) else row
        return draw(graph, format=format, title=row if isinstance(row, str) else None)

    def openlineage(
        self, row: str | Mapping[str, Any], *, forward: bool = False, treatment: str | None = None
    ) -> list[dict[str, Any]]:
        """Give the runs in a lineage as OpenLineage run events; ``row`` is what :meth:`lineage` takes or returned."""
        from .store.lineage.openlineage import run_events

        graph = self.lineage(row, forward=forward, treatment=treatment) if isinstance(row, str) else row
        return run_events(self.root, graph)

    def validate(self, paths: Sequence[PathLike] = (), *, deep: bool = False) -> dict[str, Any]:
        """Check plates, sheets, or the whole lake; ``deep`` reads every pixel."""
        return _validate(self.root, paths, deep=deep)


def validate(paths: Sequence[PathLike], *, deep: bool = False) -> dict[str, Any]:
    """Check plates and sheets without a lake; :meth:`Lake.validate` does it beside one."""
    return _validate(None, paths, deep=deep)


def doctor(lake: Lake | None = None) -> dict[str, Any]:
    """Look at versions, GPU, storage and schema; each failure says its repair."""
    from .store.doctor import doctor as examine

    return examine(lake.root if lake else None)


def _validate(root: LakeRoot | None, paths: Sequence[PathLike], *, deep: bool) -> dict[str, Any]:
    from .ingest.annotation.check import check_sheet, is_sheet
    from .store.check import validate as check

    sheets = [path for path in paths if is_sheet(path)]
    others = [str(path) for path in paths if not is_sheet(path)]
    report = check(root if others or not sheets else None, others, deep=deep)
    for path in sheets:
        found = check_sheet(path)
        report["checked"]["sheets"] = report["checked"].get("sheets", 0) + 1
        report["warnings"] += found.warnings
        report["errors"] += [
            {"code": error.rule, "where": f"{path}:{error.row}", "message": str(error)} for error in found.errors
        ]
    return report


def _paths(given: PathLike | Sequence[PathLike]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(one) for one in given]
