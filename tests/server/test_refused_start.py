"""A server whose broker can't start: each request, the log and each notebook are told why, and the server is of use."""

from __future__ import annotations

from pathlib import Path

import pytest

from connvault_jupyter.errors import BrokerUnavailable
from connvault_jupyter.server.extension import _with_home
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import StartJupyterServer
from tests.support.browser.remote_kernel import notebook_kernel
from tests.support.browser.rest import PREFIX


def test_why_there_is_no_broker_is_told_everywhere(
    start_jupyter_server: StartJupyterServer, tmp_path: Path
) -> None:
    """The folder and what names another one; in the panel it is what the request for the connections answers."""
    (tmp_path / "file").touch()
    data_dir = str(tmp_path / "file" / "vault")
    server = start_jupyter_server(app="server", config={"ConnvaultExtension": {"data_dir": data_dir}})
    answer = server.request("GET", f"{PREFIX}/connections")
    with notebook_kernel(server, server.write_notebook("a.ipynb")) as kernel:
        told = kernel.value(
            "str(__import__('pytest').raises(Exception, __import__('connvault_jupyter').connections).value)"
        )
    assert answer.status_code == 500
    assert answer.json()["code"] == "storage_error"
    wait_until(lambda: data_dir in server.log(), deadline_s=10, what="the log")
    for said in (answer.json()["detail"], told, server.log()):
        for named in (data_dir, "ConnvaultExtension.data_dir", "JUPYTER_DATA_DIR", "HOME"):
            assert named in said
    assert server.request("GET", "api/status").ok


@pytest.mark.parametrize("data_dir", ["~nobody-of-this-name/vault", "/work/~/.local/share/jupyter/connvault"])
def test_a_user_without_a_home_is_told_what_to_set(data_dir: str) -> None:
    """What is left unexpanded is not taken for a folder of that name."""
    with pytest.raises(BrokerUnavailable, match=r"HOME, JUPYTER_DATA_DIR or ConnvaultExtension\.data_dir"):
        _with_home(data_dir)
