"""What the deliveries of a definition must not do, rule by rule: each is one change to a good one, and one reason."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from connvault_jupyter.contracts.providers import RelayProtocol
from connvault_jupyter.contracts.relay_wire import WITHOUT_LOOPBACK
from connvault_jupyter.providers.definition_rules import definition_from
from connvault_jupyter.providers.delivery_rules import LISTENER_PLACES, refused_variable
from connvault_jupyter.providers.schema_rules import Unusable
from tests.support.services.definition_changes import Change, both, drop, put, text_of

TEXT = {"type": "string"}
BOUND = {"type": "string", "x-destination": True}

GOOD: dict[str, Any] = {
    "id": "harbour",
    "name": "Harbour",
    "fields": {
        "type": "object",
        "properties": {
            "host": BOUND,
            "port": {"type": "integer", "x-destination": True},
            "user": TEXT,
            "sslmode": BOUND,
            "password": {"type": "string", "writeOnly": True},
        },
        "required": ["host", "port", "password"],
    },
    "destination": "{user}@{host}:{port}",
    "deliveries": [
        {
            "kind": "relay",
            "mode": "brokered",
            "protocol": "postgresql",
            "client": "postgresql",
            "openers": ["connect"],
            "recipe": {"style": "plain"},
            "variables": {
                "PGHOST": "{directory}",
                "PGUSER": "{user}",
                "URL": "x://h:{token}@127.0.0.1:{port}/",
            },
        }
    ],
    "testable": True,
}

WEB: dict[str, Any] = {
    **GOOD,
    "fields": {
        "type": "object",
        "properties": {"base_url": BOUND, "token_url": BOUND, "token": {"type": "string", "writeOnly": True}},
        "required": ["base_url", "token"],
    },
    "destination": "{base_url}",
    "deliveries": [
        {
            "kind": "relay",
            "mode": "brokered",
            "protocol": "http",
            "client": "http",
            "openers": ["session", "base_url", "token"],
            "variables": {"API_URL": "{base_url}", "API_KEY": "{token}"},
        }
    ],
}

D = ("deliveries", 0)
P = ("fields", "properties")


def without(name: str) -> Change:
    """The field is not there at all."""
    return both(
        drop(*P, name),
        put("destination", value=""),
        lambda definition: definition["fields"]["required"].remove(name),
    )


def another(**delivery: Any) -> Change:
    return lambda d: d["deliveries"].append({"client": "x", "openers": ["x"], **delivery})


LOGIN = {"kind": "login", "mode": "in_clear", "client": "arguments", "openers": ["arguments"]}

BAD: dict[str, tuple[Change, str]] = {
    "relay in the clear": (put(*D, "mode", value="in_clear"), "A relay delivery must have the mode brokered"),
    "relay that reveals": (put(*D, "mode", value="reveal"), "A relay delivery must have the mode brokered"),
    "relay without a protocol": (drop(*D, "protocol"), "A relay must have a protocol"),
    "unknown protocol": (put(*D, "protocol", value="gopher"), "deliveries.0.protocol is not one of"),
    "brokered login": (put(*D, value={**LOGIN, "mode": "brokered"}), "A login delivery must have the mode"),
    "reveal in the clear": (another(kind="reveal", mode="in_clear"), "A reveal delivery must have the mode"),
    "login with a protocol": (put(*D, value={**LOGIN, "protocol": "http"}), "Only a relay has"),
    "login with a recipe": (put(*D, value={**LOGIN, "recipe": {"a": 1}}), "Only a relay has"),
    "login with loopback variables": (
        put(*D, value={**LOGIN, "tcp_variables": {"A_B": "x"}}),
        "Only a relay has",
    ),
    "loopback variable with the secret": (
        put(*D, "tcp_variables", value={"PGPASSWORD": "{password}"}),
        "that are not secret",
    ),
    "login with variables": (put(*D, value={**LOGIN, "variables": {"A_B": "x"}}), "Only a relay has"),
    "relay and login": (another(kind="login", mode="in_clear"), "not also have a login in the clear"),
    "two relays": (lambda d: d["deliveries"].append(d["deliveries"][0]), "Only one relay"),
    "no host": (without("host"), "required field host"),
    "no port": (without("port"), "required field port"),
    "host may be left out": (put("fields", "required", value=["port"]), "required field host"),
    "host is not bound": (drop(*P, "host", "x-destination"), "host says where"),
    "port is not bound": (drop(*P, "port", "x-destination"), "port says where"),
    "sslmode is not bound": (drop(*P, "sslmode", "x-destination"), "sslmode says where"),
    "certificate is not bound": (put(*P, "ca_certificate", value=TEXT), "ca_certificate says where"),
    "host is secret": (put(*P, "host", value={"type": "string", "writeOnly": True}), "host says where"),
    "port is text": (put(*P, "port", "type", value="string"), "type of port must be integer"),
    "host is a number": (put(*P, "host", "type", value="integer"), "type of host must be string"),
    "recipe names a field": (put(*D, "recipe", value={"user": "root"}), "must not name the field user"),
    "recipe names a secret": (put(*D, "recipe", value={"password": "x"}), "must not name the field password"),
    "recipe names a certificate": (put(*D, "recipe", value={"ca_certificate": "x"}), "never where"),
    "recipe names another's address": (put(*D, "recipe", value={"base_url": "x"}), "never where"),
    "recipe names a token's address": (put(*D, "recipe", value={"token_url": "x"}), "never where"),
    "variable with the secret": (put(*D, "variables", value={"PGPASSWORD": "{password}"}), "that are not secret"),
    "variable of nothing": (put(*D, "variables", value={"A_B": "{nothing}"}), "that are not secret"),
    "variable of another protocol": (put(*D, "variables", value={"A_B": "{base_url}"}), "that are not secret"),
    "variable with attributes": (put(*D, "variables", value={"A_B": "{user.__class__}"}), "no other braces"),
    "variable with an open brace": (put(*D, "variables", value={"A_B": "{user"}), "no other braces"),
    "variable of two lines": (put(*D, "variables", value={"A_B": "a\nb"}), "one line"),
    "variable with a zero byte": (put(*D, "variables", value={"A_B": "a\0b"}), "one line"),
    "variable in small letters": (put(*D, "variables", value={"path": "x"}), "deliveries.0.variables"),
    "variable with =": (put(*D, "variables", value={"A=B": "x"}), "deliveries.0.variables"),
    "a loader's variable": (put(*D, "variables", value={"LD_PRELOAD": "x"}), "must not set LD_PRELOAD"),
    "too many variables": (
        put(*D, "variables", value={f"V_{n}": "x" for n in range(17)}),
        "deliveries.0.variables",
    ),
}  # fmt: skip

BAD_WEB: dict[str, tuple[Change, str]] = {
    "no address": (without("base_url"), "required field base_url"),
    "address is not bound": (drop(*P, "base_url", "x-destination"), "base_url says where"),
    "token's address is not bound": (drop(*P, "token_url", "x-destination"), "token_url says where"),
    "certificate is not bound": (put(*P, "ca_certificate", value=TEXT), "ca_certificate says where"),
    "recipe names the host": (put(*D, "recipe", value={"host": "evil.test"}), "never where"),
}  # fmt: skip


@pytest.mark.parametrize("definition", [GOOD, WEB], ids=["database", "web"])
def test_the_definitions_that_the_bad_ones_are_made_of_are_good(definition: dict[str, Any]) -> None:
    """Otherwise nothing below would mean anything."""
    assert definition_from(json.dumps(definition)).deliveries[0].kind == "relay"


@pytest.mark.parametrize(("change", "reason"), BAD.values(), ids=BAD)
def test_when_a_rule_is_broken_the_reason_says_which(change: Change, reason: str) -> None:
    """One change, one reason, in words."""
    with pytest.raises(Unusable) as caught:
        definition_from(text_of(GOOD, change))
    assert reason in str(caught.value)


@pytest.mark.parametrize(("change", "reason"), BAD_WEB.values(), ids=BAD_WEB)
def test_when_a_rule_for_http_is_broken_the_reason_says_which(change: Change, reason: str) -> None:
    """Its place is an address."""
    with pytest.raises(Unusable) as caught:
        definition_from(text_of(WEB, change))
    assert reason in str(caught.value)


def test_a_token_that_is_a_place_is_no_secret() -> None:
    """`{token}` is the handle's, also where a secret has that name."""
    assert "token" in definition_from(json.dumps(WEB)).secret_fields


def test_a_variable_may_name_all_that_is_no_secret() -> None:
    """Every place of the listener, and every field but the password."""
    text = "{directory}{socket}{port}{token}{host}{user}{sslmode}"
    definition_from(text_of(GOOD, put(*D, "variables", value={"URL": text})))


def test_where_there_is_no_loopback_a_port_is_the_fields() -> None:
    """An agent's socket has no port, so the place is the connection's own port; a token there is not."""
    ssh = put(*D, "protocol", value="ssh")
    used = both(ssh, put(*D, "variables", value={"PORT": "{port}", "AGENT_SOCK": "{socket}"}))
    assert definition_from(text_of(GOOD, used)).deliveries[0].variables["PORT"] == "{port}"
    with pytest.raises(Unusable, match="that are not secret"):
        definition_from(text_of(GOOD, both(ssh, put(*D, "variables", value={"KEY": "{token}"}))))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(*D, "recipe", value={"any_database": True}), "never where"),
        (put(*D, "recipe", value={"bound_only": False}), "never where"),
        (put(*D, "recipe", value={"host_key": ""}), "never where"),
        (put(*P, "bound_only", value={"type": "boolean", "default": False}), "bound_only says where"),
        (put(*P, "host_key", value=TEXT), "host_key says where"),
        (put(*P, "bound_only", value=BOUND), "bound_only must be boolean"),
    ],
)
def test_fields_that_tell_a_host_say_where_an_ssh_key_is_used(change: Change, reason: str) -> None:
    """Else an edited definition could let logins pass that name no host, with the secrets of before."""
    ssh = both(put(*D, "protocol", value="ssh"), put(*D, "variables", value={}))
    assert definition_from(text_of(GOOD, ssh)).deliveries[0].protocol == "ssh"
    with pytest.raises(Unusable, match=reason):
        definition_from(text_of(GOOD, both(ssh, change)))


def test_all_protocols_have_their_places() -> None:
    """A new protocol needs its rules."""
    assert LISTENER_PLACES.keys() == set(get_args(RelayProtocol))


def test_what_a_definition_may_use_is_what_both_ends_of_a_relay_have() -> None:
    """The kernel fills in a token and its own port for all protocols but these."""
    without = {protocol for protocol, places in LISTENER_PLACES.items() if not {"port", "token"} & places}
    assert without == WITHOUT_LOOPBACK


LOADERS = """
PATH HOME SHELL IFS ENV BASH_ENV BASHOPTS LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES PYTHONPATH PYTHONSTARTUP
PERL5OPT PERL5LIB RUBYOPT NODE_OPTIONS NODE_PATH JUPYTER_PATH JUPYTER_CONFIG_DIR CONNVAULT_SOCKET HTTPS_PROXY ALL_PROXY
NO_PROXY PROMPT_COMMAND PS4 GIT_SSH_COMMAND GIT_EXEC_PATH PAGER EDITOR BROWSER TMPDIR XDG_CONFIG_HOME R_LIBS R_PROFILE
JULIA_LOAD_PATH CLASSPATH JAVA_TOOL_OPTIONS LUA_PATH PHPRC GOPATH GOFLAGS CARGO_HOME OPENSSL_CONF SSL_CERT_FILE
CURL_HOME REQUESTS_CA_BUNDLE AWS_CA_BUNDLE CURL_CA_BUNDLE AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE PGSERVICEFILE
PGPASSFILE PGSYSCONFDIR KUBECONFIG GCONV_PATH LOCPATH HOSTALIASES SSH_ASKPASS VIRTUAL_ENV CONDA_PREFIX
PIP_INDEX_URL NPM_CONFIG_CACHE PSQLRC PSQL_PAGER PSQL_EDITOR PGSSLKEY PGSERVICE PGGSSLIB LIBMYSQL_PLUGINS
LIBMYSQL_PLUGIN_DIR MARIADB_PLUGIN_DIR REDISCLI_RCFILE AWS_PAGER AWS_DATA_PATH AWS_CONTAINER_CREDENTIALS_FULL_URI
SASL_PATH KRB5_CONFIG ODBCINI ODBCINSTINI ODBCSYSINI TNS_ADMIN GDAL_DRIVER_PATH HDF5_PLUGIN_PATH LESSCLOSE LESSKEY
VIMINIT EXINIT TAR_OPTIONS RSYNC_RSH SVN_SSH GNUPGHOME DOCKER_HOST SSH_PKCS11_HELPER SSH_SK_HELPER SUDO_ASKPASS
MANPAGER SYSTEMD_PAGER PYSPARK_PYTHON SPARK_HOME HADOOP_CLASSPATH MAVEN_OPTS MAKEFLAGS LDAPRC LDAPTLS_CACERT CC
MYSQL_TEST_LOGIN_FILE MATPLOTLIBRC ZDOTDIR FPATH INPUTRC QT_PLUGIN_PATH GTK_MODULES OCL_ICD_VENDORS NETRC
BOTO_CONFIG GOOGLE_APPLICATION_CREDENTIALS HGRCPATH A_B PGHOSTADDR PGUSERMAP REDIS_URLOPENER USER PWD
"""
HARMLESS = """
PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSSLMODE DATABASE_URL MYSQL_HOST MYSQL_UNIX_PORT MYSQL_PWD REDIS_URL
OPENAI_BASE_URL OPENAI_API_KEY AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
AWS_DEFAULT_REGION SSH_AUTH_SOCK ELASTICSEARCH_URL GOOGLE_API_KEY GOOGLE_BASE_URL GITHUB_API_URL GITLAB_TOKEN
"""


@pytest.mark.parametrize("name", LOADERS.split())
def test_a_variable_that_changes_how_programs_load_things_is_refused(name: str) -> None:
    """Data must not run code."""
    assert refused_variable(name)


@pytest.mark.parametrize("name", HARMLESS.split())
def test_a_variable_that_says_where_to_connect_is_taken(name: str) -> None:
    """That is what they are for."""
    assert not refused_variable(name)
