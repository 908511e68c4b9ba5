"""Everything that was made from a plate, a well, a field, a file, a set, a run or a release.

Rows are found by what identifies them and by the run that wrote them, never by their values: the log of each table and
the table ``runs`` say most of it. What is made from a well is more than the rows that name it. A control well decides
the parameters by which others are normalised, an image the light that all images of its plate are divided by, a well
the treatment that it belongs to; such rows are in the graph as well, with ``was_influenced_by`` instead of
``was_derived_from``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...errors import NotFoundError, UsageError
from ..registry import FeatureSet, ProfileSet, feature_sets, resolve, resolve_profiles
from .graph import Graph, Result
from .label_images import label_name
from .made import Made, ObjectFilter
from .matching import Part
from .runs import describe_run
from .sources import parts_of_files, runs_that_read
from .start import Start

if TYPE_CHECKING:
    from ..root import LakeRoot


def follow(root: LakeRoot, start: Start) -> Result:
    """Go forward from a thing to everything that was made from it.

    Parameters
    ----------
    start
        What :func:`.start.parse_start` returned.

    Returns
    -------
    dict
        ``nodes`` and ``edges`` as :func:`.trace.trace` gives them, from what was made to what it was made from;
        ``start``, the id of the node that was followed; ``rows``, of each table that has rows of it ``table``,
        ``version``, ``study_id``, ``part``, ``rows`` and ``relation``; ``releases`` that pin some of them; ``notes``.

    Raises
    ------
    NotFoundError
        The lake knows nothing of it.
    UsageError
        Nothing can be made from such a thing.
    """
    made = Made(root, Graph())
    starts = {
        "row": _from_row,
        "image": _from_image,
        "labels": _from_labels,
        "file": _from_file,
        "sha256": _from_file,
        "feature_set": _from_set,
        "profile_set": _from_set,
        "fit": _from_fit,
        "run": _from_run,
        "release": _from_release,
        "table": _from_table,
    }
    node = starts[start.kind](made, start)
    made.finish()
    if not made.found_anything:
        raise NotFoundError(
            f"{root.url}: no table, no run and no release has anything of {start.kind} {start.name}",
            hint="ask `cytolake sql` for the rows of plates, wells and images",
        )
    return {**made.graph.result(), "start": node, "rows": made.report(), "releases": made.pins.result()}


def _from_row(made: Made, start: Start) -> str:
    row = dict(start.row)
    reference = row.pop("set_reference", None)
    if reference is not None and "object_set" not in row:
        return _from_profiles(made, resolve_profiles(made.root, reference), row)
    study, plate, well, field_id = (row.get(name) for name in ("study_id", "plate_id", "well_id", "field_id"))
    part = Part(
        str(study),
        plate,
        None if well is None else frozenset({well}),
        None if field_id is None else frozenset({(str(well), field_id)}),
    )
    if "object_set" in row:
        return _from_objects(made, part, row, reference)
    kind = ("study", "plate", "well", "field")[sum(one is not None for one in (plate, well, field_id))]
    node = made.graph.node(kind, part.name)
    made.measured(part, node)
    return node


def _from_objects(made: Made, part: Part, row: dict[str, Any], reference: str | None) -> str:
    asked = [resolve(made.root, reference)] if reference is not None else feature_sets(made.root)
    sets = [one for one in asked if row["object_set"] in one.object_sets]
    behind = [str(row[name]) for name in ("object_set", "object_id") if name in row]
    kind = "objects" if "object_id" not in row else "object"
    node = made.graph.node(kind, "/".join((part.name, *behind)))
    only = ObjectFilter(
        {one.hash: _made_from(one, row["object_set"]) for one in sets}, row["object_set"], row.get("object_id")
    )
    made.measured(part, node, only=only)
    return node


def _made_from(one: FeatureSet, object_set: str) -> frozenset[str]:
    """Return the object sets whose outlines depend on those of another, itself among them."""
    sets = one.definition["objects"]

    def needs(name: str, seen: frozenset[str] = frozenset()) -> bool:
        if name == object_set:
            return True
        above = [sets[name].get("from"), sets[name].get("minus")] if name in sets and name not in seen else []
        return any(needs(other, seen | {name}) for other in above if other)

    return frozenset(name for name in one.object_sets if needs(name))


def _from_profiles(made: Made, one: ProfileSet, row: dict[str, Any]) -> str:
    well = row.get("well_id")
    part = Part(row["study_id"], row.get("plate_id"), None if well is None else frozenset({well}))
    node = made.profiles_of(one, [part])
    if node is None:
        raise NotFoundError(f"{made.root.url}: profile set {one.label} has no rows of {part.name}")
    made.from_profiles(one, [part])
    return node


def _from_image(made: Made, start: Start) -> str:
    part = _part_of_image(made, start.name)
    node = made.graph.node("image", start.name)
    made.measured(part, node, images=[node])
    return node


def _from_labels(made: Made, start: Start) -> str:
    path, _, name = start.name.rstrip("/").partition("/labels/")
    part = _part_of_image(made, path)
    sets = {}
    for one in feature_sets(made.root):
        hit = [own for own in one.object_sets if label_name(one.definition, own) == name]
        if hit:
            sets[one.hash] = _made_from(one, hit[0])
    node = made.graph.node("labels", start.name)
    if not sets:
        raise NotFoundError(f"{made.root.url}: no feature set was measured in label images {name!r}")
    made.measured(part, node, only=ObjectFilter(sets, None, None))
    return node


def _part_of_image(made: Made, path: str) -> Part:
    path = path.rstrip("/")
    plates = made.root.tables.read("plates", columns=["study_id", "plate_id", "path"]).to_pylist()
    for plate in plates:
        if plate["path"] and path.startswith(f"{plate['path']}/"):
            where = {"study_id": plate["study_id"], "plate_id": plate["plate_id"], "path": path}
            rows = made.root.tables.read("images", columns=["well_id", "field_id"], where=where).to_pylist()
            if rows:
                well, number = rows[0]["well_id"], rows[0]["field_id"]
                return Part(plate["study_id"], plate["plate_id"], frozenset({well}), frozenset({(well, number)}))
    raise NotFoundError(f"{made.root.url}: the lake has no image {path}", hint="ask `cytolake sql` for images.path")


def _from_file(made: Made, start: Start) -> str:
    """Follow a source file: the fields whose pixels are in it, and the runs that read it."""
    found = parts_of_files(made.root, name=start.name if start.kind == "file" else None, sha256=_hash(start))
    runs = runs_that_read(made.root, name=start.name if start.kind == "file" else None, sha256=_hash(start))
    if not found.parts and not runs:
        raise NotFoundError(
            f"{made.root.url}: no image and no run was made from {start.kind} {start.name}",
            hint="names are as the export has them, with forward slashes; the lineage of a field shows them",
        )
    node = made.graph.node("file", found.name or start.name, sha256=found.sha256 or _hash(start))
    for part in found.parts:
        made.measured(part, node)
    for run in runs:
        _follow_run(made, run, node)
    if len(found.hashes) > 1:
        made.graph.note(f"{len(found.hashes)} different files are called {start.name}: follow one of them by sha256:…")
    return node


def _hash(start: Start) -> str | None:
    return start.name.lower() if start.kind == "sha256" else None


def _from_set(made: Made, start: Start) -> str:
    if start.kind == "feature_set":
        one = resolve(made.root, start.name)
        made.from_feature_set(one)
        return made.add_set(one)
    profile_set = resolve_profiles(made.root, start.name)
    node = made.add_set(profile_set)
    parts = [Part(study) for study in made.studies_of(profile_set)]
    made.profiles_of(profile_set, parts)
    made.from_profiles(profile_set, parts)
    return node


def _from_fit(made: Made, start: Start) -> str:
    label, sign, rest = start.name.partition("#")
    version, _, unit = rest.partition("/")
    if not sign or not version.isdigit():
        raise UsageError(f"{start.name!r} names no fit", hint="write name@version#fit_version, and perhaps /unit")
    one = resolve_profiles(made.root, label)
    fit = made.from_fit(one, int(version), unit or None)
    if fit is None:
        raise NotFoundError(
            f"{made.root.url}: {one.label} has no parameters of fit version {rest}",
            hint="ask `cytolake sql` for profile_set, fit_version and unit of profile_fits",
        )
    return fit


def _from_run(made: Made, start: Start) -> str:
    rows = made.root.tables.read("runs", where={"run_id": start.name}).to_pylist()
    if not rows:
        raise NotFoundError(f"{made.root.url}: there is no run {start.name}", hint="ask `cytolake sql` for runs")
    return _follow_run(made, rows[0], None)


def _follow_run(made: Made, run: dict[str, Any], read: str | None) -> str:
    """Follow what a run wrote; ``read`` is the node of something that it read."""
    node = describe_run(made.graph, run)
    if read is not None:
        made.graph.edge(node, read, "used")
    made.written_by(run, node)
    return node


def _from_release(made: Made, start: Start) -> str:
    from ..releases import find_release

    release = find_release(made.root, start.name, withdrawn=True)
    node = made.pins.add_release(release)
    for table, pin in release.pins.items():
        member = made.graph.node("table", f"{table}@{pin.version}", version=pin.version, rows=pin.rows)
        made.graph.edge(node, member, "had_member")
        _follow_readers(made, _that_read(made, table, pin.version), member, release_run=release.run_id)
    return node


def _from_table(made: Made, start: Start) -> str:
    table, _, version = start.name.partition("@")
    if version and not version.isdigit():
        raise UsageError(f"{start.name!r}: {version!r} is no version of a table", hint="write table:NAME@7")
    if not made.root.tables.exists(table):
        raise NotFoundError(f"{made.root.url}: there is no table {table!r}")
    number = int(version) if version else None
    node = made.graph.node("table", start.name, version=number)
    made.pins.of_version(node, table, number)
    _follow_readers(made, _that_read(made, table, number), node)
    return node


def _that_read(made: Made, table: str, version: int | None) -> list[dict[str, Any]]:
    return [
        run
        for run in made.runs()
        if any(
            used["kind"] == "table" and used["name"] == table and version in (None, used["version"])
            for used in run["inputs"] or ()
        )
    ]


def _follow_readers(made: Made, runs: Iterable[dict[str, Any]], member: str, release_run: str | None = None) -> None:
    for run in runs:
        if run["run_id"] != release_run:
            _follow_run(made, run, member)
