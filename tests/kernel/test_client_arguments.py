"""Why an argument is refused: each for its own reason."""

from __future__ import annotations

import pytest

from connvault_jupyter.kernel.client_arguments import ArgumentRefused, check_arguments, why

REASONS = {
    "it sets where": (
        "host", "hostaddr", "port", "unix_socket", "unix_socket_path", "dbname", "db", "url", "endpoint_url",
        "base_url", "bind_address", "region_name", "conninfo", "uds", "proxies", "proxy",
    ),
    "it sets the user": (
        "user", "username", "password", "passwd", "passfile", "auth", "require_auth", "credential_provider", "key",
        "secret", "token", "aws_access_key_id", "aws_session_token", "anon",
    ),
    "encryption and verification": (
        "ssl", "sslmode", "ssl_ca", "ssl_cert_reqs", "sslrootcert", "tls", "verify", "cert", "client_cert",
        "channel_binding", "gssencmode", "krbsrvname", "server_public_key",
    ),
    "it loads settings from elsewhere": (
        "trust_env", "service", "read_default_file", "read_default_group", "client_kwargs",
        "profile",
    ),
    "without the broker": ("creator", "module", "transport", "mounts", "connection_pool", "app", "session"),
    "connvault does not know it": ("keepalive_of_tomorrow", "x"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "name"), [(why, name) for why, names in REASONS.items() for name in names]
)
def test_an_argument_is_refused_for_what_it_would_do(reason: str, name: str) -> None:
    """And all the same: where and as whom comes from the connection."""
    with pytest.raises(ArgumentRefused, match=reason) as caught:
        check_arguments({name: "x"}, frozenset({"autocommit"}))
    assert repr(name) in str(caught.value)
    assert "from the connection" in str(caught.value)
    assert "Accepted are autocommit." in str(caught.value)
    assert why(name).endswith(".")
