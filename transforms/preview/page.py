"""The preview as one HTML page that needs nothing else and holds no script; texts from files are escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from ...store.images.picture import OUTLINE_COLOURS
from ..report.drawings import number
from .looks import Look

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#20242c;max-width:1240px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.6em}h2{font-size:1.2em;border-top:2px solid #c4c9d1;padding-top:.8em;margin-top:2em}
.quiet{color:#5a6270}.bad{color:#a02020}.row{display:flex;flex-wrap:wrap;gap:14px}figure{margin:0}
figcaption{font-size:.85em}table{border-collapse:collapse;font-size:.9em}
td,th{text-align:right;padding:.2em .9em .2em 0;border-bottom:1px solid #e3e6ea}
td:first-child,th:first-child{text-align:left}
svg text{font:10px system-ui,sans-serif;fill:#20242c}svg rect{fill:#3b528b}
.key{display:inline-block;width:.9em;height:.9em;border:2px solid;margin:0 .3em 0 1em;vertical-align:-.1em;
background:#16181c}
details summary{cursor:pointer;color:#3b528b}pre{background:#f1f3f5;padding:.8em;overflow:auto}
"""


def preview_page(
    looks: Sequence[Look],
    *,
    title: str,
    object_sets: Sequence[str],
    recipe_text: str,
    fields_in_all: int,
    warnings: Sequence[str],
) -> str:
    """Write the page.

    Parameters
    ----------
    looks
        The fields, in order.
    title
        Study and recipe.
    object_sets
        In the order of their outlines' colours.
    recipe_text
        The recipe's TOML.
    fields_in_all
        Fields that the whole transform would process, for the estimate of its time.
    warnings
        What somebody should know before computing.
    """
    keys = "".join(
        f'<span class="key" style="border-color:rgb{OUTLINE_COLOURS[k % len(OUTLINE_COLOURS)]}"></span>{escape(name)}'
        for k, name in enumerate(object_sets)
    )
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f'<p class="quiet">{len(looks)} of {fields_in_all:,} fields; nothing has been written into the lake. '
        f"{_estimate(looks, fields_in_all)}</p>",
        "".join(f'<p class="bad">{escape(warning)}</p>' for warning in warnings),
        _table(looks, object_sets),
        _histograms(looks),
        f"<p>Outlines:{keys}</p>",
        *(_field(look) for look in looks),
        f"<details><summary>The recipe</summary><pre>{escape(recipe_text)}</pre></details></body></html>\n",
    ]
    return "".join(parts)


def _estimate(looks: Sequence[Look], fields_in_all: int) -> str:
    # The first field of a process loads, or compiles, what the others find there.
    seconds = sorted(look.seconds for look in looks if look.failed is None)
    if not seconds:
        return "No field could be processed."
    median = float(np.median(seconds))
    total = fields_in_all * median
    time = f"{total:,.0f} s" if total < 120 else f"{total / 60:,.0f} min" if total < 7200 else f"{total / 3600:,.0f} h"
    return (
        f"{median:.2f} s per field (median; the first of a process takes longer): about {time} of one core for all "
        f"of them."
    )


def _name(look: Look) -> str:
    acquisition, well, field = look.name
    return f"{look.plate_id} {well} field {field}" + (f", acquisition {acquisition}" if acquisition != 1 else "")


def _table(looks: Sequence[Look], object_sets: Sequence[str]) -> str:
    steps: dict[str, float] = {}
    for look in looks:
        for step, seconds in look.seconds_of.items():
            steps[step] = steps.get(step, 0.0) + seconds
    longest = sorted(steps, key=lambda step: -steps[step])[:5]
    heads = "".join(f"<th>{escape(name)}</th>" for name in (*object_sets, "seconds", *longest))
    rows = []
    for look in looks:
        counts = "".join(f"<td>{look.objects.get(name, '–')}</td>" for name in object_sets)
        times = "".join(f"<td>{look.seconds_of.get(step, 0.0):.2f}</td>" for step in longest)
        name = f'<a href="#{_anchor(look)}">{escape(_name(look))}</a>'
        rows.append(f"<tr><td>{name}</td>{counts}<td>{look.seconds:.2f}</td>{times}</tr>")
    return f"<table><tr><th>field</th>{heads}</tr>{''.join(rows)}</table>"


def _histograms(looks: Sequence[Look]) -> str:
    columns = list(dict.fromkeys(column for look in looks for column in look.values))
    figures = []
    for column in columns:
        values = np.concatenate([look.values[column] for look in looks if column in look.values])
        known = values[np.isfinite(values)]
        drawn = _histogram(known, column) if known.size else '<p class="quiet">no value</p>'
        figures.append(f"<figure><figcaption>{escape(column)}</figcaption>{drawn}</figure>")
    return f'<h2>Values over all these fields</h2><div class="row">{"".join(figures)}</div>' if figures else ""


def _histogram(values: NDArray[np.float32], title: str) -> str:
    """Draw counts between the 0.5th and 99.5th percentile; what lies beyond is counted in the outermost bars."""
    low, high = (float(x) for x in np.percentile(values, (0.5, 99.5)))
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    counts, _ = np.histogram(np.clip(values, low, high), bins=30, range=(low, high))
    wide, tall = 200, 70
    bars = "".join(
        f'<rect x="{k * wide / 30:.1f}" y="{tall - tall * count / counts.max():.1f}" width="{wide / 30 - 0.8:.1f}" '
        f'height="{tall * count / counts.max():.1f}"/>'
        for k, count in enumerate(counts.tolist())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall + 14}" width="{wide}" height="{tall + 14}" '
        f'role="img" aria-label="{escape(title)}">{bars}<text x="0" y="{tall + 11}">{number(low)}</text>'
        f'<text x="{wide / 2}" y="{tall + 11}" text-anchor="middle">n = {values.size:,}</text>'
        f'<text x="{wide}" y="{tall + 11}" text-anchor="end">{number(high)}</text></svg>'
    )


def _field(look: Look) -> str:
    head = f"<h2>{escape(_name(look))}</h2>"
    if look.failed is not None:
        return f'{head}<p class="bad">Could not be processed: {escape(look.failed)}</p>'
    counts = ", ".join(f"{count:,} {escape(name)}" for name, count in look.objects.items())
    counts += "".join(
        f"; {count:,} {escape(name)} left out by the recipe's bounds" for name, count in look.dropped.items()
    )
    skipped = "".join(f'<p class="bad">no {escape(name)}: {escape(why)}</p>' for name, why in look.skipped.items())
    figures = "".join(
        f'<figure><img alt="{escape(_name(look))}, {escape(one.channel)}" src="data:image/jpeg;base64,{one.whole}">'
        f"<figcaption>{escape(one.channel)}</figcaption><details><summary>middle at full size</summary>"
        f'<img alt="{escape(_name(look))}, {escape(one.channel)}, middle" src="data:image/jpeg;base64,{one.detail}">'
        "</details></figure>"
        for one in look.pictures
    )
    return (
        f'<section><div id="{_anchor(look)}"></div>{head}<p>{counts or "no objects"}; {look.seconds:.2f} s</p>{skipped}'
        f'<div class="row">{figures}</div></section>'
    )


def _anchor(look: Look) -> str:
    return escape("-".join((look.plate_id, *map(str, look.name))), quote=True)


def counts_of(looks: Sequence[Look]) -> list[Mapping[str, object]]:
    """Give what the report of the command says of each field."""
    return [
        {
            "plate_id": look.plate_id,
            "acquisition_id": look.name[0],
            "well_id": look.name[1],
            "field_id": look.name[2],
            "objects": dict(look.objects),
            "dropped": dict(look.dropped),
            "seconds": round(look.seconds, 3),
            "failed": look.failed,
        }
        for look in looks
    ]
