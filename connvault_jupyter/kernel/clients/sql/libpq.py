"""What libpq reads from the environment, as far as it could bypass a handle. Nothing is connected or set here.

For everything that its caller does not give, libpq uses a service file, then a variable (libpq, "Environment
Variables", "The Connection Service File"). `hostaddr` decides where to connect, whatever the host's name.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping

from ....errors import NotAllowed

# Their neutral values. Other values would lead psql elsewhere, or demand from a relay what only a server offers
# (encryption, another authentication method).
NEUTRAL: Mapping[str, str] = {
    "PGCHANNELBINDING": "prefer",
    "PGGSSENCMODE": "disable",
    "PGHOSTADDR": "",
    "PGLOADBALANCEHOSTS": "disable",
    "PGMINPROTOCOLVERSION": "3.0",
    "PGREQUIREAUTH": "",
    "PGREQUIREPEER": "",
    "PGSSLCERTMODE": "allow",
    "PGSSLNEGOTIATION": "postgres",
    "PGSSLROOTCERT": "",
    "PGTARGETSESSIONATTRS": "any",
}

# Variables that choose the server: they may be set in the program's environment, but not here.
_ALWAYS = frozenset({"PGHOSTADDR", "PGTARGETSESSIONATTRS"})

# It has no neutral value: even an empty service name is looked up.
SERVICE = "PGSERVICE"

# An address in libpq's format can't disable these for every library that reads it.
_LEADS_PAST_ADDRESSES = ("PGHOSTADDR", SERVICE)

# libpq accepts no empty value for these.
_NEVER_EMPTY = {
    "sslcertmode": "allow",
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
}
# A service name can't be empty. A service only supplies what is not given.
_SERVICE_PARAMETERS = frozenset({"service", "servicefile"})


def overridden() -> dict[str, str]:
    """Variables for other programs that neutralise this process's own environment.

    Raises: NotAllowed: one can't be overridden; the message names it.
    """
    _refuse((SERVICE,))
    return {
        name: neutral
        for name, neutral in NEUTRAL.items()
        if name in _ALWAYS or os.environ.get(name, neutral) != neutral
    }


def check_addresses() -> None:
    """Raises: NotAllowed: an address would lead elsewhere in this process, because of the variable named in the
    message."""
    _refuse(_LEADS_PAST_ADDRESSES)


def parameters_of_addresses() -> dict[str, str]:
    """The additional parameters that make an address independent of these variables."""
    found = {}
    if os.environ.get("PGTARGETSESSIONATTRS"):
        found["target_session_attrs"] = NEUTRAL["PGTARGETSESSIONATTRS"]
    # Unix sockets are never encrypted, but asyncpg looks for the certificates anyway. Otherwise it is left out: not
    # every library accepts it in an address, and libpq does not accept it with the system's certificates.
    if os.environ.get("PGSSLMODE", "").startswith("verify-") and os.environ.get("PGSSLROOTCERT") != "system":
        found["sslmode"] = "disable"
    return found


def parameters_of_urls() -> dict[str, str]:
    """The same for an address that is an attribute of an object, where reading can't be refused: if it would lead
    elsewhere, it leads nowhere, and libpq's error has the reason."""
    named = [name for name in _LEADS_PAST_ADDRESSES if os.environ.get(name)]
    nowhere = {"hostaddr": f"{named[0]} is set and would make libpq connect elsewhere"} if named else {}
    return {**parameters_of_addresses(), **nowhere}


def pinned(free: Collection[str]) -> Mapping[str, str]:
    """If any such environment variable is set: every parameter of psycopg's libpq that one could set, at its default,
    except those in `free`.

    Without any, nothing is given: libpq takes longer to parse thirty parameters than the relay to answer.
    """
    variables, defaults = _environment(frozenset(free))
    return {} if variables.isdisjoint(os.environ) else defaults


@functools.cache
def _environment(free: frozenset[str]) -> tuple[frozenset[str], Mapping[str, str]]:
    from psycopg import pq

    known = [option for option in pq.Conninfo.get_defaults() if option.envvar is not None]
    defaults = {
        name: _NEVER_EMPTY.get(name, (option.compiled or b"").decode())
        for option in known
        if (name := option.keyword.decode()) not in free | _SERVICE_PARAMETERS
    }
    return frozenset(option.envvar.decode() for option in known if option.envvar), defaults


def _refuse(names: Collection[str]) -> None:
    for name in names:
        if os.environ.get(name):
            raise NotAllowed(
                f"{name} is set in this process and would make libpq connect elsewhere. Unset it first: "
                f'os.environ.pop("{name}").',
                variable=name,
            )
