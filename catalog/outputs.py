"""The columns of a result: what each is called, and which columns of its sources it repeats."""

from __future__ import annotations

from sqlglot import exp

from .sources import From, Output, Outputs, Source


def derived(node: exp.Expression, outputs: Outputs) -> Source:
    """Return a subquery or table expression as an item of a FROM clause."""
    kinds: dict[str, type] = {}
    for output in outputs.columns:
        kinds.setdefault(output.name, output.kind)
    return Source(node, None, kinds, complete=outputs.complete)


def of_set(node: exp.SetOperation, first: Outputs, second: Outputs) -> Outputs:
    """Return the columns of a set operation; they repeat nothing, but both sides may agree about a type."""
    if node.args.get("by_name"):
        kinds: dict[str, type] = {}
        for output in (*first.columns, *second.columns):
            known = kinds.setdefault(output.name, output.kind)
            kinds[output.name] = known if known is output.kind else object
        if first.complete and second.complete:
            return Outputs(tuple(Output(name, (), kind) for name, kind in kinds.items()), complete=True)
        # What the first side has comes first.
        return Outputs(tuple(Output(one.name, (), object) for one in first.columns))
    pairs = zip(first.columns, second.columns, strict=False)
    columns = tuple(Output(one.name, (), one.kind if one.kind is two.kind else object) for one, two in pairs)
    return Outputs(columns, complete=first.complete and second.complete)


def select_outputs(node: exp.Select, clause: From) -> Outputs:
    """Return the columns of a SELECT's result, up to the first that cannot be told."""
    columns: list[Output] = []
    for item in node.expressions:
        if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
            found, complete = _star(item, clause)
            columns += found
        else:
            complete = _is_one(item)
            if complete:
                places = tuple(clause.places(item.unalias()))
                kind = clause.kind(places) if places else _cast_to(item.unalias())
                columns.append(Output(item.alias_or_name.lower(), places, kind))
        if not complete:
            return Outputs(tuple(columns))
    return Outputs(tuple(columns), complete=True)


def _is_one(item: exp.Expression) -> bool:
    """Whether one item of a SELECT list makes one column."""
    if item.find(exp.Columns, exp.Unnest, exp.Explode):
        return False
    return all(isinstance(star.parent, exp.Count) for star in item.find_all(exp.Star))


def _cast_to(item: exp.Expression) -> type:
    """Return the type of an expression that says it."""
    if isinstance(item, exp.Cast):
        to = item.args["to"].this
        return str if to in exp.DataType.TEXT_TYPES else int if to in exp.DataType.INTEGER_TYPES else object
    return str if isinstance(item, exp.Literal) and item.is_string else object


def _star(item: exp.Expression, clause: From) -> tuple[list[Output], bool]:
    """Return the columns that a star makes, and whether these are all."""
    star = item if isinstance(item, exp.Star) else item.this
    if star.args.get("rename") or star.args.get("ilike"):
        return [], False
    dropped = {part.name.lower() for part in star.args.get("except_") or star.args.get("except") or []}
    replaced = {part.alias.lower() for part in star.args.get("replace") or []}
    only = item.table.lower() if isinstance(item, exp.Column) else None
    if only is not None and only not in clause.sources:
        return [], False  # the fields of a struct
    merged = {
        join.this.alias_or_name.lower(): {column.name.lower() for column in join.args.get("using") or []}
        for join in clause.joins
    }
    result = []
    for alias, source in clause.sources.items():
        if source.hidden or (only is not None and alias != only):
            continue
        for name, kind in source.kinds.items():
            if name in dropped or (only is None and name in merged.get(alias, ())):
                continue
            # A column that USING made of several has the value of any of them.
            places = clause.places(exp.column(name)) if only is None and name in clause.merged else [(alias, name)]
            result.append(Output(name, () if name in replaced else tuple(places), object if name in replaced else kind))
        if not source.complete:
            return result, False
    return result, True
