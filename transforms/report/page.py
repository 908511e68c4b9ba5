"""The report as one HTML page that needs nothing else: sentences first, then the plate, then the fields to look at.

Names and texts come from files of others and are escaped wherever they enter. There is no script in the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ...schemas.identifiers import parse_well
from .data import PlateQuality
from .drawings import colour_range, heat_map, number, strips
from .judgement import WORDS, Effect, Problem, Separation, effect_sentences
from .thumbnails import Pair

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#20242c;max-width:1180px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.6em}h2{font-size:1.35em;border-top:2px solid #c4c9d1;padding-top:1em;margin-top:2.2em}
h3{font-size:1.05em;margin:1.6em 0 .4em}
.problems li{margin:.25em 0}.good{color:#1b6e3c}.bad{color:#a02020}.quiet{color:#5a6270}
.pictures{display:flex;flex-wrap:wrap;gap:18px 26px}figure{margin:0}figcaption{font-size:.85em}
svg text{font:10px system-ui,sans-serif;fill:#20242c}svg .ground{fill:#f1f3f5}
svg .cross{stroke:#be2828;stroke-width:1.6;fill:none}svg .under{stroke:#fff;stroke-width:4;fill:none}
svg .grid{stroke:#dde1e6;fill:none}svg .dot{fill:#3b528b;fill-opacity:.6}svg .median{stroke:#be2828;stroke-width:2}
table{border-collapse:collapse;font-size:.9em}td,th{text-align:left;padding:.2em .8em .2em 0;vertical-align:top;
border-bottom:1px solid #e3e6ea}.scroll{max-height:420px;overflow:auto}
.field{display:flex;gap:6px;align-items:flex-start}.field img{image-rendering:pixelated}
"""
#: Metrics that are drawn as heat maps: the title, and the flags that put a cross on a well.
_HEAT_MAPS = {
    "Count": ("Counts", ("Empty", "Debris", "Clumped")),
    "PowerLogLogSlope": ("Focus", ("Blurred",)),
    "MeanIntensity": ("Intensity", ("Dim", "Bright", "Missing")),
    "PercentSaturated": ("Saturation", ("Saturated",)),
    "Unevenness": ("Evenness of the light", ("Uneven",)),
}
#: Controls that are set side by side, in this order; others follow.
_CONTROLS = ("negative_vehicle", "negative_non_targeting", "untreated", "positive", "empty", "treatment")
#: Flags that the table lists; the rest are counted.
_MOST_FLAGS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the report of one plate says."""

    plate: PlateQuality
    problems: Sequence[Problem]
    notes: Sequence[str]
    effects: Sequence[Effect]
    separations: Sequence[Separation]
    thumbnails: Sequence[Sequence[Pair]]


def verdict(findings: Findings) -> str:
    """Say how many problems a plate has."""
    count = len(findings.problems)
    return "No problem found" if not count else f"{count} problem{'s' if count > 1 else ''}"


def opening(study_id: str, plate_ids: Sequence[str]) -> str:
    """Begin the page: everything before the first plate."""
    what = f"Quality of plate {plate_ids[0]}" if len(plate_ids) == 1 else f"Quality of {len(plate_ids)} plates"
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(what)}</title><style>{_STYLE}</style></head><body>",
        f'<h1>{escape(what)}</h1><p class="quiet">Study {escape(study_id)}.</p>',
    ]
    if len(plate_ids) > 1:
        links = "".join(f'<li><a href="#plate-{i}">{escape(name)}</a></li>' for i, name in enumerate(plate_ids))
        parts.append(f"<ul>{links}</ul>")
    return "".join(parts)


CLOSING = "</body></html>\n"


def plate_section(findings: Findings, place: int) -> str:
    """Write the part of one plate; ``place`` is its number in the list that :func:`opening` began with."""
    plate = findings.plate
    wells = len(plate.fields_of_wells)
    parts = [
        f'<section id="plate-{place}"><h2>{escape(plate.plate_id)}</h2>',
        f'<p class="quiet">{wells} wells, {len(plate.fields)} fields; feature set {escape(plate.feature_set)}, '
        f"run {escape(plate.run_id)}.</p>",
        _sentences(findings),
        _thumbnails(findings),
    ]
    parts += [_heat_maps(plate, metric, title, flags) for metric, (title, flags) in _HEAT_MAPS.items()]
    parts += [_places(findings), _control_strips(findings), _flag_table(plate), "</section>"]
    return "".join(parts)


def _sentences(findings: Findings) -> str:
    head = f'<p class="{"bad" if findings.problems else "good"}"><strong>{verdict(findings)}.</strong></p>'
    problems = "".join(f"<li>{escape(problem.sentence)}</li>" for problem in findings.problems)
    notes = [*findings.notes, *effect_sentences(findings.effects)]
    quiet = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        head
        + (f'<ul class="problems">{problems}</ul>' if problems else "")
        + (f'<p class="quiet">To know:</p><ul class="quiet">{quiet}</ul>' if quiet else "")
    )


def _thumbnails(findings: Findings) -> str:
    if not findings.thumbnails:
        return ""
    figures = []
    for group in findings.thumbnails:
        images = "".join(
            f'<figure><img alt="{escape(pair.caption)}, whole" src="data:image/jpeg;base64,{pair.whole}"> '
            f'<img alt="{escape(pair.caption)}, middle" src="data:image/jpeg;base64,{pair.detail}">'
            f"<figcaption>{escape(pair.caption)}</figcaption></figure>"
            for pair in group
        )
        figures.append(f'<div class="field">{images}</div>')
    return (
        '<h3>Fields to look at</h3><p class="quiet">Each whole and, beside it, its middle at full size; then a field '
        f'without flags in the same grey values.</p><div class="pictures">{"".join(figures)}</div>'
    )


def _heat_maps(plate: PlateQuality, metric: str, title: str, flags: Sequence[str]) -> str:
    suspicious = {flag.well_id for flag in plate.flags}
    figures = []
    for one in plate.of(metric):
        wells = one.wells()
        limits = colour_range(wells, suspicious)
        marked = {flag.well_id for flag in plate.flags if flag.name == one.name and flag.kind in flags}
        drawn = heat_map(plate.n_rows, plate.n_columns, wells, title=one.title, limits=limits, marked=marked)
        figures.append(f"<figure><figcaption>{escape(one.title)}</figcaption>{drawn}</figure>")
    if not figures:
        return ""
    return f'<h3>{escape(title)}</h3><div class="pictures">{"".join(figures)}</div>'


def _places(findings: Findings) -> str:
    rows = []
    for one in findings.effects:
        if one.place == "edge" or one.matters:
            bold = ("<strong>", "</strong>") if one.matters else ("", "")
            rows.append(
                f"<tr><td>{escape(one.series.title)}</td><td>{bold[0]}{escape(one.place)}{bold[1]}</td>"
                f"<td>{one.ratio:.2f}</td><td>{one.chance:.2g}</td><td>{one.inside} / {one.outside}</td></tr>"
            )
    if not rows:
        return (
            '<h3>Edge, rows and columns</h3><p class="quiet">Too few wells on the edge or inside it to compare; no row '
            "and no column stands out.</p>"
        )
    return (
        '<h3>Edge, rows and columns</h3><p class="quiet">Median of the wells there over the median of the others, and '
        "how likely chance alone makes such a difference (Mann-Whitney; of rows and columns, times their number). "
        "Where controls or doses are laid out by row or column, that is the difference seen.</p><table><tr>"
        f"<th>what</th><th>where</th><th>ratio</th><th>p</th><th>wells there / others</th></tr>{''.join(rows)}</table>"
    )


def _control_strips(findings: Findings) -> str:
    plate = findings.plate
    kinds = set(plate.controls.values())
    if not kinds - {"treatment"}:
        return '<h3>Controls</h3><p class="quiet">The plate map names no controls.</p>'
    z_primes = {(one.series.metric, one.series.name): one for one in findings.separations}
    figures = []
    for one in plate.of("Count", "MeanIntensity"):
        wells = sorted(one.wells().items(), key=lambda item: parse_well(item[0]))
        groups = {
            kind: [(well, value) for well, value in wells if plate.controls.get(well) == kind]
            for kind in (*_CONTROLS, *sorted(kinds - set(_CONTROLS)))
        }
        groups = {kind: group for kind, group in groups.items() if group}
        if not groups:
            continue
        found = z_primes.get((one.metric, one.name))
        said = f"; Z′ {number(found.z_prime)}" if found else ""
        figures.append(
            f"<figure><figcaption>{escape(one.title)}{said}</figcaption>{strips(groups, title=one.title)}</figure>"
        )
    return (
        '<h3>Controls</h3><p class="quiet">One dot per well, mean of its fields; the stroke is the median.</p>'
        f'<div class="pictures">{"".join(figures)}</div>'
    )


def _flag_table(plate: PlateQuality) -> str:
    if not plate.flags:
        return ""
    rows = "".join(
        f"<tr><td>{escape(flag.well_id)}</td><td>{flag.field_id}</td><td>{flag.timepoint}</td>"
        f"<td>{escape(flag.name)}</td><td>{escape(WORDS[flag.kind])}</td><td>{escape(flag.reason)}</td></tr>"
        for flag in plate.flags[:_MOST_FLAGS]
    )
    more = len(plate.flags) - _MOST_FLAGS
    rest = f'<p class="quiet">And {more:,} more: they are in the table quality.</p>' if more > 0 else ""
    return (
        "<h3>All flags</h3><div class='scroll'><table><tr><th>well</th><th>field</th><th>time</th><th>of</th>"
        f"<th>flag</th><th>why</th></tr>{rows}</table></div>{rest}"
    )
