"""The kind of connection SSH: the shipped suite, and what its form says."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from tests.support.servers.sshd import new_key
from tests.support.services import catalogue

_SSH = {"host": "build.example.com", "port": 22, "user": "git"}
_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJo/TKSw7GNqrbXH3levM8QLpA4eT/3hfxKPCZzJkToR"


class TestSsh(ProviderConformance):
    example: ClassVar = _SSH

    def definition(self) -> Any:
        return catalogue.definition("ssh")


class TestSshBound(TestSsh):
    example: ClassVar = {**_SSH, "host_key": f"{_HOST_KEY} a comment\n{_HOST_KEY}\n", "bound_only": True}


def said(**fields: Any) -> dict[str, str]:
    return catalogue.said("ssh", {**_SSH, **fields})


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp521", "ssh-rsa"])
def test_when_a_host_key_is_as_openssh_writes_it_it_is_taken(kind: str) -> None:
    """With a comment, a second one, another line end."""
    key = new_key(kind).public
    assert said(host_key=key) == {}
    assert said(host_key=f"{key} root@build\r\n{key}\n") == {}


@pytest.mark.parametrize(
    "text",
    [
        f"build.example.com {_HOST_KEY}",
        "SHA256:DZUemnpqgoapzdizr1BIUjcPrna56vQka6tjjb+ExEE",
        "ssh-dss AAAAB3NzaC1kc3MAAACB",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        f"{_HOST_KEY}\nand more",
        "ssh-ed25519",
    ],
)
def test_when_a_host_key_is_something_else_it_is_said(text: str) -> None:
    """Also a line of known_hosts: which host it is for stands in another field."""
    assert "without the host name" in said(host_key=text)["fields.host_key"]


def test_when_nothing_is_said_logins_are_bound() -> None:
    """The safe way is the one that nobody has to choose. Without a host key it asks for nothing, and holds nothing."""
    assert catalogue.definition("ssh")["fields"]["properties"]["bound_only"]["default"] is True
    for fields in (
        {},
        {"bound_only": True},
        {"host_key": _HOST_KEY},
        {"host_key": _HOST_KEY, "bound_only": False},
    ):
        assert said(**fields) == {}


@pytest.mark.parametrize("user", ["a b", "-oProxyCommand=x", "a;b", "$(x)", "a\nb", "`x`", "a/b", "a:b"])
def test_when_a_user_could_mean_something_to_a_shell_it_is_refused(user: str) -> None:
    """It stands on command lines."""
    assert "fields.user" in said(user=user)
