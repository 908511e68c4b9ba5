"""The reader that the documentation shows keeps the contract that it speaks of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.ingest.contract import ReaderContract

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
