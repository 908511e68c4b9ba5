"""Making, opening and finding lakes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from cytolake.errors import AlreadyExistsError, ConfigurationError, InvalidDataError, NotFoundError
from cytolake.store import migrations
from cytolake.store.root import LakeRoot, find_root, init_root, open_root
from cytolake.store.storage import Check, Storage


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "lab") if request.param == "folder" else request.getfixturevalue("s3_url")


def test_a_new_lake_opens(url: str) -> None:
    made = init_root(url)
    opened = open_root(url)
    assert opened.url == made.url == url
    assert opened.config == made.config
    assert opened.config.name == "lab"
    assert opened.config.format_version == migrations.FORMAT_VERSION
    assert opened.tables.names() == []
    assert opened.storage.list() == ["lake.toml"]
    assert pickle.loads(pickle.dumps(opened)).config == opened.config


def test_a_lake_is_not_made_twice(url: str) -> None:
    init_root(url, name='the "ü" lab')
    with pytest.raises(AlreadyExistsError, match="named 'the \"ü\" lab'"):
        init_root(url)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match=r"not empty \(a, b, c and 1 more\)"):
        init_root(tmp_path)
    with pytest.raises(ConfigurationError, match="is a file"):
        init_root(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_litter_of_desktops_is_no_content(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    init_root(tmp_path)


def test_a_failed_attempt_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.store.local import LocalStorage

    def probe(self: Storage) -> list[Check]:
        return [*probe_of_folder(self), Check("hard links", False, "Operation not permitted", "use ext4")]  # type: ignore[arg-type]

    probe_of_folder = LocalStorage.probe
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "probe", probe)
        with pytest.raises(ConfigurationError, match="hard links") as raised:
            init_root(tmp_path / "lab")
        assert raised.value.hint == "use ext4"
    init_root(tmp_path / "lab")


def test_what_is_no_lake_is_not_found(url: str) -> None:
    with pytest.raises(NotFoundError, match="no lake") as raised:
        open_root(url)
    assert f"cytolake init {url}" in str(raised.value.hint)


@pytest.mark.parametrize("text", ["name = 3\nformat_version = 1", "name = 'x'\nformat_version = true", "not toml"])
def test_a_damaged_lake_file_is_said(tmp_path: Path, text: str) -> None:
    init_root(tmp_path / "lab")
    (tmp_path / "lab" / "lake.toml").write_text(text)
    with pytest.raises(InvalidDataError, match=r"lab/lake\.toml"):
        open_root(tmp_path / "lab")


def test_a_newer_format_is_refused(lake: LakeRoot) -> None:
    Path(lake.url, "lake.toml").write_text('name = "x"\nformat_version = 99\n')
    with pytest.raises(ConfigurationError, match="format 99") as raised:
        open_root(lake.url)
    assert "upgrade" in str(raised.value.hint)


def test_older_formats_are_brought_up_to_date_step_by_step(lake: LakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_1_to_2(storage: Storage) -> None:
        storage.write("steps", b"1")

    def from_2_to_3(storage: Storage) -> None:
        storage.write("steps", storage.read("steps") + b"2")
        if not storage.exists("once"):
            storage.write("once", b"")
            raise OSError("the power is gone")

    monkeypatch.setattr(migrations, "FORMAT_VERSION", 3)
    monkeypatch.setattr(migrations, "STEPS", {1: from_1_to_2, 2: from_2_to_3})
    with pytest.raises(OSError, match="migration from 2 failed"):
        open_root(lake.url)
    assert open_root(lake.url).config.format_version == 3
    assert lake.storage.read("steps") == b"122"  # the step that was interrupted ran again, the first did not
    assert open_root(lake.url).config.name == lake.config.name


def test_a_format_that_nobody_knows_is_refused(lake: LakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(lake.url, "lake.toml").write_text('name = "x"\nformat_version = 0\n')
    with pytest.raises(ConfigurationError, match="format 0"):
        open_root(lake.url)


def test_the_nearest_lake_is_found_from_below(lake: LakeRoot, tmp_path: Path) -> None:
    below = Path(lake.url) / "images" / "x"
    below.mkdir(parents=True)
    assert find_root(below) == Path(lake.url)
    assert find_root(lake.url) == Path(lake.url)
    assert find_root(tmp_path) is None
