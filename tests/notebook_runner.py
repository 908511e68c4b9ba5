"""Run a notebook's cells, one after the other in one process, and write or compare what they show.

Cells are plain Python; the value of a last expression is shown as a notebook does: a picture, a table (``_repr_html_``)
or text. ``python tests/notebook_runner.py NOTEBOOK FOLDER`` runs it in a folder and writes its outputs into it.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any


def run(notebook: dict[str, Any]) -> None:
    """Run every code cell in this process and folder, and put its outputs into the notebook."""
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        cell["execution_count"] = count
        cell["outputs"] = _run_cell("".join(cell["source"]), names, count)


def _run_cell(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"<cell {count}>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"<cell {count}>", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append(
            {"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)}
        )
    if value is not None:
        data = {"execution_count": count, "metadata": {}, "output_type": "execute_result", "data": _shown(value)}
        outputs.append(data)
    return outputs


def _shown(value: Any) -> dict[str, Any]:
    png = value._repr_png_() if hasattr(value, "_repr_png_") else None
    if png is not None:  # its size is of the fonts of a machine
        return {"image/png": base64.b64encode(png).decode(), "text/plain": ["<a picture>"]}
    shown: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        shown["text/html"] = value._repr_html_().splitlines(keepends=True)
    return shown


def texts(notebook: dict[str, Any]) -> list[str]:
    """Everything that the cells show, as text."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return ["".join(one["text"] if one["output_type"] == "stream" else one["data"]["text/plain"]) for one in outputs]


if __name__ == "__main__":
    path = Path(sys.argv[1]).resolve()
    content = json.loads(path.read_text(encoding="utf-8"))
    os.chdir(sys.argv[2])
    run(content)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
