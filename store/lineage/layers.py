"""Where boxes stand: in layers from left to right, each as near as can be to what it is linked with.

The way of Sugiyama, Tagawa and Toda (IEEE Transactions on Systems, Man, and Cybernetics 11, 1981, 109-125): layers by
the longest way from a source, places in a layer by the middle of the neighbours, links over several layers through
small places of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SWEEPS = 12
#: Height that a link takes in a layer that it only passes, and the space between two boxes.
_WIRE, _GAP = 8.0, 18.0


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a box."""

    width: float
    height: float


@dataclass(slots=True)
class Layout:
    """Where things are: left upper corner of each box, and the middle of each place that a link goes through."""

    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    ways: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


def arrange(sizes: Mapping[str, Size], links: Sequence[tuple[str, str]], *, between: float) -> Layout:
    """Place boxes and lay links.

    Parameters
    ----------
    sizes
        Of each box, in the order in which they would be read.
    links
        (source, target); those that would close a circle are laid all the same, from right to left.
    between
        Space between two layers.
    """
    layer = _layers(list(sizes), links)
    columns: list[list[str]] = [[] for _ in range(1 + max(layer.values(), default=0))]
    for one in sizes:
        columns[layer[one]].append(one)
    height = {one: size.height for one, size in sizes.items()}
    chains: dict[tuple[str, str], list[str]] = {}
    near: dict[str, list[str]] = {one: [] for one in sizes}
    for source, target in links:
        chain = [source]
        for number in range(layer[source] + 1, layer[target]):
            wire = f"{source}\0{target}\0{number}"
            columns[number].append(wire)
            height[wire] = _WIRE
            near[wire] = []
            chain.append(wire)
        chain.append(target)
        chains[source, target] = chain
        for one, other in pairwise(chain):
            near[one].append(other)
            near[other].append(one)
    where = {one: number for number, column in enumerate(columns) for one in column}
    _order(columns, near, where)
    middle = _spread(columns, near, height)
    return _measured(columns, sizes, height, middle, chains, between)


def _layers(boxes: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return box → layer: behind its furthest source, and beside the first thing that was made from it."""
    after: dict[str, list[str]] = {one: [] for one in boxes}
    for source, target in links:
        after[source].append(target)
    order: list[str] = []
    state: dict[str, int] = {}
    forward: set[tuple[str, str]] = set()

    def visit(one: str) -> None:
        state[one] = 1
        for target in after[one]:
            if state.get(target) != 1:  # not one that closes a circle
                forward.add((one, target))
                if target not in state:
                    visit(target)
        state[one] = 2
        order.append(one)

    for one in boxes:
        if one not in state:
            visit(one)
    layer = dict.fromkeys(boxes, 0)
    for one in reversed(order):
        for target in after[one]:
            if (one, target) in forward:
                layer[target] = max(layer[target], layer[one] + 1)
    for one in order:
        targets = [layer[target] for target in after[one] if (one, target) in forward]
        layer[one] = min(targets) - 1 if targets else layer[one]
    return layer


def _order(columns: list[list[str]], near: Mapping[str, Sequence[str]], where: Mapping[str, int]) -> None:
    """Sort each layer by the middle of its neighbours in the layer before, then behind, over and over."""
    rank = {one: float(number) for column in columns for number, one in enumerate(column)}
    for sweep in range(_SWEEPS):
        numbers = range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1)
        side = -1 if sweep % 2 == 0 else 1
        for number in numbers:
            column = columns[number]

            def middle(one: str, number: int = number, side: int = side) -> float:
                beside = [rank[other] for other in near[one] if where[other] == number + side]
                return sum(beside) / len(beside) if beside else rank[one]

            column.sort(key=middle)
            for place, one in enumerate(column):
                rank[one] = float(place)


def _spread(
    columns: Sequence[Sequence[str]], near: Mapping[str, Sequence[str]], height: Mapping[str, float]
) -> dict[str, float]:
    """Return the middle of each box from top to bottom: near its neighbours, and clear of the boxes beside it."""
    middle: dict[str, float] = {}
    for column in columns:
        at = 0.0
        for one in column:
            middle[one] = at + height[one] / 2
            at += height[one] + _GAP
    for sweep in range(2 * _SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = [_mean([middle[other] for other in near[one]], middle[one]) for one in column]
            middle.update(zip(column, _apart(column, wanted, height), strict=True))
    return middle


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(column: Sequence[str], wanted: Sequence[float], height: Mapping[str, float]) -> list[float]:
    """Move boxes of a layer apart, halfway between pushing all down and pushing all up."""
    down: list[float] = []
    for number, one in enumerate(column):
        least = down[-1] + (height[column[number - 1]] + height[one]) / 2 + _GAP if number else wanted[0]
        down.append(max(wanted[number], least))
    up = [0.0] * len(column)
    for number in range(len(column) - 1, -1, -1):
        one = column[number]
        most = wanted[number]
        if number + 1 < len(column):
            most = min(most, up[number + 1] - (height[column[number + 1]] + height[one]) / 2 - _GAP)
        up[number] = most
    return [(one + other) / 2 for one, other in zip(down, up, strict=True)]


def _measured(
    columns: Sequence[Sequence[str]],
    sizes: Mapping[str, Size],
    height: Mapping[str, float],
    middle: Mapping[str, float],
    chains: Mapping[tuple[str, str], Sequence[str]],
    between: float,
) -> Layout:
    layout = Layout()
    top = min((middle[one] - height[one] / 2 for one in middle), default=0.0)
    x = 0.0
    left: dict[str, float] = {}
    right: dict[str, float] = {}
    edge: dict[str, float] = {}
    for column in columns:
        width = max((sizes[one].width for one in column if one in sizes), default=0.0)
        for one in column:
            own = sizes[one].width if one in sizes else width
            left[one] = x
            right[one] = x + own
            edge[one] = x + width
            if one in sizes:
                layout.places[one] = (x, middle[one] - height[one] / 2 - top)
        x += width + between
    layout.width = max(x - between, 0.0)
    layout.height = max((middle[one] + height[one] / 2 - top for one in middle), default=0.0)
    for pair, chain in chains.items():
        # Level to the edge of the layer, so that no link runs behind a wider box beside its source.
        points = [(at, middle[chain[0]] - top) for at in dict.fromkeys((right[chain[0]], edge[chain[0]]))]
        for wire in chain[1:-1]:
            points += [(left[wire], middle[wire] - top), (right[wire], middle[wire] - top)]
        points.append((left[chain[-1]], middle[chain[-1]] - top))
        layout.ways[pair] = points
    return layout
