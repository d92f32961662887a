"""Where a deployment keeps what, and the port it may use."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from actors.deployment import replaced, with_free_port
from actors.folders import SOCKET_BYTES_MAX, Folders, write_private
from engine.config import Config
from engine.core.errors import InvalidConfig


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path_factory):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("t")))


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_is_for_its_owner_alone(tmp_path):
    folders = Folders(str(tmp_path / "data"))
    folders.make()
    assert [mode(folder) for folder in (folders.data, folders.valkey, folders.logs, folders.ray)] == [0o700] * 4
    write_private(folders.admin_key, "key")
    folders.admin_key.chmod(0o644)
    write_private(folders.admin_key, "other")
    assert (mode(folders.admin_key), folders.admin_key.read_text()) == (0o600, "other")


def test_a_folder_that_stood_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    Folders(str(tmp_path)).make()
    assert mode(tmp_path) == 0o755


def test_a_deep_data_folder_gets_a_short_socket(tmp_path):
    deep = Folders(str(tmp_path / ("x" * 120)))
    assert len(os.fsencode(deep.socket)) <= SOCKET_BYTES_MAX + 7
    assert deep.socket.parent == deep.ray
    shallow = Folders("/d")
    assert shallow.socket.parent == shallow.valkey


def test_two_data_folders_share_no_short_folder(tmp_path):
    assert Folders(str(tmp_path / "a")).ray != Folders(str(tmp_path / "b")).ray


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    folders = Folders(str(tmp_path / "data"))
    (tmp_path / "theirs").mkdir()
    folders.ray.symlink_to(tmp_path / "theirs")
    with pytest.raises(InvalidConfig, match="somebody else"):
        folders.make()
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfig, match="--data"):
        Folders(str(tmp_path / "file")).make()


def test_rays_leftovers_are_removed_but_not_what_links_lead_to(tmp_path):
    folders = Folders(str(tmp_path / "data"))
    folders.make()
    (folders.ray / "session_1" / "logs").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (folders.ray / "session_latest").symlink_to(tmp_path / "kept")
    folders.forget_ray()
    assert list(folders.ray.iterdir()) == []
    assert (tmp_path / "kept").exists()
    folders.leave()
    assert not folders.ray.exists()


def test_port_0_becomes_a_free_one_and_a_taken_one_is_refused():
    found = with_free_port(Config(port=0))
    assert found.port > 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidConfig, match="--port"):
            with_free_port(replaced(Config(), {"port": taken.getsockname()[1]}))
