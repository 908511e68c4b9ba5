"""The verbs about feature sets and profile sets: list, show, diff, use, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..transforms.outputs import check_outputs, write_output
from ..wording import listed
from .options import PictureFile, common, lake_option, the_lake
from .output import counted, facts, progress_bar, report, say, table

#: Columns, plates and wells that are printed; --json has all of them.
_SHOWN = 15
#: Wells that look least like their replicates, in print.
_WORST_WELLS = 5
_KINDS = click.Choice(["features", "profiles"])


@click.group()
def features() -> None:
    """List feature sets and profile sets; describe, compare, choose and check them.

    SET is name@version, a name (its newest version), or a hash of eight digits or more.
    """


@features.command("list")
@click.option("--study", metavar="STUDY", help="Only sets of which this study has rows.")
@lake_option
@common
@click.pass_context
def list_(ctx: click.Context, study: str | None, json_: bool) -> None:
    """List feature sets and profile sets, oldest first, and whose views show them."""
    report({"sets": the_lake(ctx).feature_sets(study=study)}, json_=json_, readable=_listed)


def _listed(result: Mapping[str, Any]) -> str:
    if not result["sets"]:
        return "no sets yet: `cytolake transform`, `cytolake import` and `cytolake profile` make them"
    rows = [
        (
            one["label"],
            one["kind"],
            _origin(one),
            one["parts"],
            one["plates"],
            " + ".join("?" if rows is None else str(rows) for rows in one["rows_of"].values()),
            one["columns"],
            [f"{study}*" if study in one["chosen_in"] else study for study in one["current_in"]],
            one["hash"][:8],
        )
        for one in result["sets"]
    ]
    names = ("set", "kind", "from", "parts", "plates", "rows", "columns", "current in", "hash")
    text = table(rows, names)
    return f"{text}\n\n* chosen with `features use`" if any(one["chosen_in"] for one in result["sets"]) else text


def _origin(one: Mapping[str, Any]) -> str:
    if one["origin"] == "imported":
        return f"imported ({one['dialect']})"
    return str(one["source"] or one["origin"])


@features.command()
@click.argument("reference", metavar="SET")
@click.option("--recipe", is_flag=True, help="Print the TOML of its recipe, and nothing else.")
@lake_option
@common
@click.pass_context
def show(ctx: click.Context, reference: str, recipe: bool, json_: bool) -> None:
    """Describe SET: what it is made from, its columns by family, its plates, its fitted parameters."""
    found = the_lake(ctx).feature_set(reference)
    if recipe and not json_:
        if found["recipe"] is None:
            say(f"{found['label']} has no recipe: it was {found['origin']}")
        else:
            click.echo(found["recipe"].rstrip())
        return
    report(found, json_=json_, readable=_shown)


def _shown(one: Mapping[str, Any]) -> str:
    head = facts(
        {
            "set": one["label"],
            "kind": one["kind"],
            "from": _origin(one),
            "hash": one["hash"],
            "made": _time(one["created_at"]),
            "run": one["run_id"],
            "studies": one["studies"],
            "current in": one["current_in"],
            "made from": " <- ".join(up["label"] for up in one["lineage"]),
        }
    )
    parts = [head]
    for name, held in one["contents"].items():
        if not held["rows"] and not held["columns"]:
            parts.append(f"{name}: no rows")
            continue
        families = ", ".join(f"{family} {count}" for family, count in held["families"].items())
        rows = "" if held["rows"] is None else f"{counted(held['rows'], 'row')}, "
        lines = [f"{name}: {rows}{counted(len(held['columns']), 'column')} ({families})"]
        plates = [(plate["study_id"], plate["plate_id"], plate["rows"]) for plate in held["plates"]]
        lines.append(_indented(table(plates[:_SHOWN], ("study", "plate", "rows"))))
        if len(plates) > _SHOWN:
            lines.append(f"  and {len(plates) - _SHOWN} more")
        parts.append("\n".join(lines))
    if one["fits"]:
        names = ("version", "fitted", "steps", "units", "controls")
        fits = [
            (fit["version"], _time(fit["fitted_at"]), fit["steps"], len(fit["units"]), fit["controls"])
            for fit in one["fits"]
        ]
        parts.append("fitted parameters\n" + _indented(table(fits, names)))
    return "\n\n".join(parts)


def _time(text: str | None) -> str | None:
    return text and text[:19].replace("T", " ")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


@features.command()
@click.argument("one")
@click.argument("other")
@click.option("--study", metavar="STUDY", help="Compare values of this study only.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="And of these plates only; repeatable.")
@lake_option
@common
@click.pass_context
def diff(ctx: click.Context, one: str, other: str, study: str | None, plates: tuple[str, ...], json_: bool) -> None:
    """Say what changed from ONE to OTHER: parameters, columns, and values on the plates that both have."""
    lake = the_lake(ctx)
    with progress_bar(f"comparing {one} and {other}") as progress:
        found = lake.diff_feature_sets(one, other, study=study, plates=plates, progress=progress)
    report(found, json_=json_, readable=_diffed)


def _diffed(found: Mapping[str, Any]) -> str:
    one, other = found["one"]["label"], found["other"]["label"]
    parts = [f"from {one} to {other}"]
    changed = [(row["path"], row["change"], _brief(row["one"]), _brief(row["other"])) for row in found["parameters"]]
    if changed:
        parts.append(table(changed, ("parameter", "change", one, other)))
    for part, columns in found["columns"].items():
        lines = [f"{part}: {counted(columns['common'], 'column')} in both"]
        for sign, names in (("+", columns["added"]), ("-", columns["removed"])):
            if names:
                lines.append(f"  {sign} {counted(len(names), 'column')}: {listed(names, _SHOWN)}")
        parts.append("\n".join(lines))
    if found["plates"]:
        plates = [
            (row["part"], row["study_id"], row["plate_id"], row["rows_one"], row["rows_other"], row["pairs"])
            for row in found["plates"]
        ]
        text = table(plates[:_SHOWN], ("part", "study", "plate", f"rows {one}", f"rows {other}", "paired"))
        parts.append(text + (f"\nand {len(plates) - _SHOWN} more plates" if len(plates) > _SHOWN else ""))
    if found["by_column"]:
        parts.append(_shift(found["by_column"], one, other))
    return "\n\n".join(parts)


def _shift(rows: Sequence[Mapping[str, Any]], one: str, other: str) -> str:
    """Show the columns that have shifted most, and say how many are the same."""
    same = [row for row in rows if row.get("identical")]
    rows = [row for row in rows if not row.get("identical")]
    lines = []
    if rows:
        paired = any("correlation" in row for row in rows)
        names = ("column", "plate", "KS", "PSI", f"median {one}", f"median {other}", "empty")
        shown = [
            (
                row["column"],
                row["plate_id"],
                row["ks"],
                row["psi"],
                row["median_one"],
                row["median_other"],
                f"{_percent(row['null_one'])} → {_percent(row['null_other'])}",
                *([row.get("correlation")] if paired else []),
            )
            for row in rows[:_SHOWN]
        ]
        header = (*names, "correlation") if paired else names
        lines.append("largest shift first, each column on the plate where it is largest")
        lines.append(table(shown, header))
        if len(rows) > _SHOWN:
            lines.append(f"and {len(rows) - _SHOWN} more columns; --json has all, plate by plate")
    if same:
        lines.append(f"{counted(len(same), 'column')} with the very same values")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _brief(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


@features.command()
@click.argument("reference", metavar="[SET]", required=False)
@click.option("--study", required=True, metavar="STUDY", help="The study whose views shall show it.")
@click.option("--newest", is_flag=True, help="Forget what was chosen: show what the newest run wrote.")
@click.option("--kind", type=_KINDS, help="Which is meant where both have that name; with --newest, forget these only.")
@lake_option
@common
@click.pass_context
def use(ctx: click.Context, reference: str | None, study: str, newest: bool, kind: Any, json_: bool) -> None:
    """Let the views show SET of a study, whatever is computed later; --newest goes back."""
    if newest == (reference is not None):
        raise click.UsageError("name a set, or --newest: one of the two")
    found = the_lake(ctx).use_feature_set(reference, study=study, kind=kind)
    report(found, json_=json_, readable=_forgotten if newest else _used)


def _used(found: Mapping[str, Any]) -> str:
    before = sorted(set(found["before"].values()))
    instead = f" instead of {', '.join(before)}" if before else ""
    return f"{found['status']}  {found['study_id']}: {', '.join(found['parts'])} from {found['label']}{instead}"


def _forgotten(found: Mapping[str, Any]) -> str:
    if not found["forgotten"]:
        return f"{found['status']}  nothing had been chosen for {found['study_id']}"
    chosen = ", ".join(sorted({f"{one['part']} from {one['label']}" for one in found["forgotten"]}))
    return f"{found['status']}  {found['study_id']}: the newest again, not {chosen}"


@features.command()
@click.option("--study", required=True, metavar="STUDY", help="The study to check.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="Judge these plates only; repeatable.")
@click.option("--source", metavar="SET", help="The set to check; the current ones of the study if not given.")
@click.option("--reference", metavar="RELEASE|PLATE", help="Compare distributions with a release, or with a plate.")
@click.option("--recipe", metavar="NAME|FILE", help="Profile recipe with controls and thresholds ([quality]).")
@click.option("--picture", metavar="FILE.png", type=PictureFile("png"), help="Draw plates by families of features.")
@lake_option
@common
@click.pass_context
def check(
    ctx: click.Context,
    study: str,
    plates: tuple[str, ...],
    source: str | None,
    reference: str | None,
    recipe: str | None,
    picture: str | None,
    json_: bool,
) -> int:
    """Say how good features are, plate by plate; exit code 4 where no release may be made of them.

    Empty values, shift against a reference, drift of controls over the plates, whether replicates look alike, how far
    positive controls are from negative ones. All values are rows of the table feature_quality.
    """
    if picture is not None:
        check_outputs([Path(picture)])
    lake = the_lake(ctx)
    with progress_bar(f"checking features of {study}") as progress:
        found = lake.check_features(
            study=study, plates=plates, source=source, reference=reference, recipe=recipe, progress=progress
        )
    if picture is not None:
        write_output(Path(picture), lake.quality_picture(study=study, source=source))
        say(f"wrote {picture}")
    report(found, json_=json_, readable=_checked)
    return 4 if found["verdict"] == "refused" else 0


def _checked(found: Mapping[str, Any]) -> str:
    rows = []
    for one in found["measures"]:
        worst = one["worst"] or {}
        where = " on ".join(part for part in (worst.get("feature"), worst.get("plate_id")) if part)
        rows.append(
            (
                one["feature_set"],
                one["object_set"],
                one["metric"],
                one["values"],
                one["warnings"],
                one["refused"],
                worst.get("value"),
                where or (one["why"] if not one["values"] else None),
            )
        )
    names = ("set", "of", "measure", "values", "warned", "refused", "worst", "where")
    parts = [table(rows, names)]
    for one in found["replicates"]:
        wells = [(w["plate_id"], w["well_id"], w["treatment"], w["correlation"]) for w in one["wells"][:_WORST_WELLS]]
        if wells:
            head = f"wells that look least like their replicates, by {one['object_set']} of {one['feature_set']}"
            parts.append(f"{head}\n{table(wells, ('plate', 'well', 'treatment', 'correlation'))}")
    judged = f"thresholds: {', '.join(found['thresholds'])}" if found["thresholds"] else "no thresholds: see --recipe"
    parts.append(
        f"{found['verdict']}  {counted(len(found['plates']), 'plate')}, {counted(found['rows'], 'measure')}; {judged}"
    )
    return "\n\n".join(parts)
