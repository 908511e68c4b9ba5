"""The façade: one lake, with everything that can be done to it.

It composes the three wings, which do not know one another, and holds no logic of its own. Whatever is heavy is
imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .errors import UsageError
from .featurestore import FeatureStore, PathLike
from .imaging import Imaging, PlateFormat
from .questions import Questions
from .store.root import LakeRoot, init_root, open_root


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


def macros(name: str | None = None) -> list[dict[str, Any]]:
    """List the macros and views that questions may use, or one.

    Each has ``name``, ``kind``, ``group``, ``call`` (with what must be given), ``signature``, ``about``, ``source`` and
    ``example``.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    from .catalog.library import described

    return described(name)


class Lake(Imaging, FeatureStore, Questions):
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
