"""The reader that the documentation shows keeps the contract that it speaks of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.errors import InvalidDataError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.planes import PlaneTables

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"


def shown() -> Any:
    """Run the code of the page, and return the reader that it makes."""
    section = PAGE.read_text(encoding="utf-8").partition("## Your own format")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code.group(1), names)
    return names["JsonReader"]()


class TestOwnReader(ReaderContract):
    reader = shown()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        folder = tmp_path / "plate 7"
        (folder / "images").mkdir(parents=True)
        images = []
        for well in ("A01", "b3"):
            for channel in ("DAPI", "GFP"):
                file = f"images/{well}_{channel}.tif"
                tifffile.imwrite(folder / file, np.full((6, 8), 7, np.uint16))
                images.append({"well": well, "field": 1, "channel": channel, "file": file})
        (folder / "plate.json").write_text(json.dumps({"pixel_size_um": 0.65, "images": images}))
        return folder


def test_only_what_the_file_does_wrong_is_blamed_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, image = tmp_path / "plate.json", {"well": "A99", "field": 1, "channel": "DAPI", "file": "a.tif"}
    index.write_text(json.dumps({"pixel_size_um": 0.65, "images": [image]}))
    with pytest.raises(InvalidDataError, match=r"'A99', of a\.tif, is no well of a plate"):
        shown().read(tmp_path)
    index.write_text(json.dumps({"pixel_size_um": 0.65, "images": [image | {"well": "A01"}]}))
    monkeypatch.setattr(PlaneTables, "add", lambda self, wrong: None)
    with pytest.raises(TypeError):
        shown().read(tmp_path)
    for damaged in ("{", "[]", "{}", '{"pixel_size_um": 0.65, "images": [7]}'):
        index.write_text(damaged)
        with pytest.raises(InvalidDataError, match="is damaged"):
            shown().read(tmp_path)
