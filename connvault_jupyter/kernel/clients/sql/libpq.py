"""What libpq takes from the environment, as far as it could lead past a handle. Nothing is connected or set here.

libpq looks at a variable for whatever its caller does not give, and believes a service file before that (libpq,
"Environment Variables", "The Connection Service File"). `hostaddr` goes where it says, whatever the host is called.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping

from ....errors import NotAllowed

# How they are when they say nothing. One that is set otherwise would lead psql elsewhere, or ask of a relay what only a
# server can give (encryption, another way to log in).
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

# Those that choose the server: they may be set where the variables go, and not here.
_ALWAYS = frozenset({"PGHOSTADDR", "PGTARGETSESSIONATTRS"})

# Nothing that it could be set to would say nothing: the empty service is looked for, too.
SERVICE = "PGSERVICE"

# An address in libpq's form can't say for every library that reads it that these do not count.
_LEADS_PAST_ADDRESSES = ("PGHOSTADDR", SERVICE)

# libpq takes no empty value for these.
_NEVER_EMPTY = {
    "sslcertmode": "allow",
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
}
# The name of a service can't be given as empty. A service fills in only what is not given.
_SERVICE_PARAMETERS = frozenset({"service", "servicefile"})


def overridden() -> dict[str, str]:
    """Variables for other programs, so that what this process has in its environment says nothing to them.

    Raises: NotAllowed: one that can't be overridden, by name.
    """
    _refuse((SERVICE,))
    return {
        name: neutral
        for name, neutral in NEUTRAL.items()
        if name in _ALWAYS or os.environ.get(name, neutral) != neutral
    }


def check_addresses() -> None:
    """Raises: NotAllowed: an address would lead elsewhere in this process, because of a variable that it names."""
    _refuse(_LEADS_PAST_ADDRESSES)


def parameters_of_addresses() -> dict[str, str]:
    """What an address has to have besides, so that these variables do not count for it."""
    found = {}
    if os.environ.get("PGTARGETSESSIONATTRS"):
        found["target_session_attrs"] = NEUTRAL["PGTARGETSESSIONATTRS"]
    # On a Unix socket nobody encrypts, but asyncpg looks for the certificates all the same. Otherwise it is left out:
    # not every library knows it in an address, and libpq takes it with no certificates of the system's.
    if os.environ.get("PGSSLMODE", "").startswith("verify-") and os.environ.get("PGSSLROOTCERT") != "system":
        found["sslmode"] = "disable"
    return found


def parameters_of_urls() -> dict[str, str]:
    """The same for an address that is an attribute of an object, which can't be refused when it is read: where it would
    lead elsewhere, it leads nowhere, and libpq's error has the reason."""
    named = [name for name in _LEADS_PAST_ADDRESSES if os.environ.get(name)]
    nowhere = {"hostaddr": f"{named[0]} is set and would make libpq connect elsewhere"} if named else {}
    return {**parameters_of_addresses(), **nowhere}


def pinned(free: Collection[str]) -> Mapping[str, str]:
    """Every parameter of psycopg's libpq that a variable of the environment could set, at its default, if one is set;
    not those of `free`.

    Without any such variable nothing needs to be given: libpq takes longer to read thirty parameters than the relay to
    answer.
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
