"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..lake import Lake

F = TypeVar("F", bound=Callable[..., Any])


def _keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
    if value:
        ctx.find_root().obj["lake"] = value


class PictureFile(click.Path):
    """A picture to write, in one of some formats: its name must say what it is, before any work."""

    def __init__(self, *formats: str) -> None:
        super().__init__(dir_okay=False)
        self.formats = formats

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse another ending, and say how to call it."""
        path = Path(value)
        if path.suffix.lower().removeprefix(".") not in self.formats:
            known = " or ".join(one.upper() for one in self.formats)
            self.fail(f"{value}: pictures are {known}; call it {path.stem}.{self.formats[0]}", param, ctx)
        return super().convert(value, param, ctx)


def lake_option(command: F) -> F:
    """Give a verb ``--lake``; :func:`the_lake` opens what it says."""
    return click.option(
        "--lake",
        metavar="PATH|URL",
        expose_value=False,
        callback=_keep,
        help="The lake; else $CYTOLAKE_LAKE, else the nearest lake.toml above.",
    )(command)


def common(command: F) -> F:
    """Give a verb ``--json`` and ``--debug``."""
    command = click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")(command)
    return click.option("--json", "json_", is_flag=True, help="One JSON object on stdout.")(command)


def export_options(command: F) -> F:
    """Give a verb what a person may say of an export, as the arguments that :func:`cytolake.lake.inspect` takes."""
    for option in reversed(
        (
            click.option("--reader", metavar="NAME", help="Which reader to use; recognised by content if not given."),
            click.option(
                "--pattern",
                metavar="NAME|REGEX",
                help="How TIFF files are named: a preset, or groups as in '(?P<well>[A-P]\\d+)_(?P<channel>\\w+)'.",
            ),
            click.option(
                "--pixel-size",
                "pixel_size_um",
                metavar="UM",
                type=float,
                help="Side of a pixel at the sample in µm; counts before what the files say.",
            ),
            click.option(
                "--plate-format",
                metavar="96|384|8x12",
                help="Wells of the plate; counts before what the files say.",
            ),
        )
    ):
        command = option(command)
    return command


def role_option(command: F) -> F:
    """Give a verb ``--role CHANNEL=ROLE``, as often as wanted, as a dictionary ``roles``."""
    return click.option(
        "--role",
        "roles",
        metavar="CHANNEL=ROLE",
        multiple=True,
        callback=_roles,
        help="What a channel shows, such as 'Alexa 488=ER'; may be repeated.",
    )(command)


def _roles(_: click.Context, __: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    roles: dict[str, str] = {}
    for value in values:
        # From the right: vendors put "=" into channel names, nobody into roles.
        channel, sign, role = value.rpartition("=")
        if not sign or not channel.strip() or not role.strip():
            raise click.BadParameter(f"{value!r} is not CHANNEL=ROLE, such as 'Alexa 488=ER'")
        if channel.strip() in roles:
            raise click.BadParameter(f"channel {channel.strip()!r} is given twice")
        roles[channel.strip()] = role.strip()
    return roles


def lake_url(ctx: click.Context) -> str | None:
    """Return where the lake is: ``--lake``, ``$CYTOLAKE_LAKE``, or the nearest folder above; None for nowhere."""
    given = ctx.find_root().obj["lake"] or os.environ.get("CYTOLAKE_LAKE")
    if given:
        return str(given)
    from ..store.root import find_root

    found = find_root(Path.cwd())
    return None if found is None else str(found)


def the_lake(ctx: click.Context) -> Lake:
    """Open the lake that a verb works on.

    Raises
    ------
    ConfigurationError
        None is named, and none is above the current folder.
    """
    url = lake_url(ctx)
    if url is None:
        raise ConfigurationError(
            f"no lake: there is no lake.toml in {Path.cwd()} or above it, and $CYTOLAKE_LAKE is not set",
            hint="name one with --lake PATH, or make one with `cytolake init PATH`",
        )
    from .. import lake

    return lake.open_lake(url)
