"""Where the text of a recipe is: among those that come with cytolake, or in a file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from ..errors import NotFoundError, RecipeError
from ..wording import did_you_mean
from .parameters import is_file


class RecipeText(NamedTuple):
    """The TOML of a recipe, what messages call it, and the folder where its relative paths begin."""

    content: str
    source: str
    folder: Path | None


def find_recipe(recipe: str | Path, package: str) -> RecipeText:
    """Read a recipe that is shipped in ``package`` by its name, or a recipe file by its path.

    Raises
    ------
    NotFoundError
        Neither a shipped recipe nor a file.
    RecipeError
        The file is no text.
    """
    name = str(recipe)
    shipped = shipped_in(package)
    if name in shipped:
        content = resources.files(package).joinpath(f"{name}.toml").read_text(encoding="utf-8")
        return RecipeText(content, f"recipe {name}", None)
    path = Path(recipe)
    if not is_file(path):
        raise NotFoundError(
            f"no recipe {name!r}: it is neither a shipped recipe nor a file{did_you_mean(name, shipped)}",
            hint=f"use one of {', '.join(shipped)}, or the path of a TOML file",
        )
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    return RecipeText(content, str(path), path.absolute().parent)


def shipped_in(package: str) -> tuple[str, ...]:
    """Names of the recipes in a package."""
    folder = resources.files(package)
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))
