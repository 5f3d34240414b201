"""The socket and its directory: made by somebody else beforehand, linked elsewhere, or taken over while it is used."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.broker.socket_dir import bind
from connvault_jupyter.contracts import frames
from connvault_jupyter.errors import BrokerUnavailable, StorageError
from tests.attacks.conftest import by_reason
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.requester import Refused


def started(home: Path) -> None:
    with operated_broker(home, rule=by_reason) as (operator, _):
        operator.call("vault.state")


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Whoever put it there could read along, or take the socket away."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BrokerUnavailable):
        bind(tmp_path / "s" / "b")


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_something_else_in_the_sockets_place_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """A link could lead to anything of the person's; only an own dead socket is taken away."""
    place = tmp_path / "s" / "b"
    place.parent.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    if kind == "file":
        place.write_text("mine")
    elif kind == "link":
        place.symlink_to(victim)
    else:
        place.mkdir()
    with pytest.raises(BrokerUnavailable):
        started(tmp_path)
    assert victim.read_text() == "precious"
    assert place.is_symlink() or place.exists()


def test_wide_permissions_are_narrowed(tmp_path: Path) -> None:
    """A directory that others could enter is ours alone before anybody listens in it; so is the data's."""
    for name in ("s", "vault"):
        (tmp_path / name).mkdir(mode=0o777)
        (tmp_path / name).chmod(0o777)
    with operated_broker(tmp_path, rule=by_reason) as (operator, path):
        operator.call("vault.state")
        modes = {
            name: stat.S_IMODE((tmp_path / name).stat().st_mode)
            for name in ("s", "vault", "vault/connvault.db")
        }
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert modes == {"s": 0o700, "vault": 0o700, "vault/connvault.db": 0o600}


def test_a_data_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """The vault would lie where somebody else may read and write."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "vault").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        started(tmp_path)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_false_broker_in_the_sockets_place_is_believed(notebooks: Notebooks) -> None:
    """Not stopped: a process of the same user can put a socket of its own there, and lead a notebook to its server.
    No secret comes by it; the broker's own notebooks find nobody until the server restarts it."""
    place = Path(notebooks.socket_path)
    kept = place.with_name("kept")
    place.rename(kept)
    asked: list[str] = []

    def lie(listener: socket.socket) -> None:
        stream, _ = listener.accept()
        with stream:
            frames.receive(stream)
            frames.send(stream, {"ok": True, "protocol": frames.PROTOCOL, "version": __version__})
            message = frames.receive(stream)
            assert message is not None
            asked.append(message["op"])
            frames.send(stream, {"ok": True, "body": {"connections": [], "vault": "unlocked"}})

    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            thread = threading.Thread(target=lie, args=(listener,))
            thread.start()
            with notebooks.outside() as victim:
                assert victim.run("len(connections())") == 0
            thread.join()
    finally:
        place.unlink()
        kept.rename(place)
    assert asked == ["connections.list"]
    with notebooks.outside() as again:
        assert again.run("len(connections())") == 2


def test_a_path_of_ones_own_in_the_environment_misleads_oneself_only(
    notebooks: Notebooks, tmp_path: Path
) -> None:
    """The variable is no secret and no proof; another path is another broker, or none."""
    with notebooks.outside() as process:
        process.run(f"import os; os.environ['CONNVAULT_SOCKET'] = {str(tmp_path / 'none')!r}")
        with pytest.raises(Refused, match="BrokerUnavailable"):
            process.run("connections()")
