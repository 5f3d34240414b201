"""Variables that keep AWS programs at a handle's endpoint, whatever the machine's configuration. Nothing is set here.

Keys and endpoint from the environment take precedence over a person's files, but a named profile must exist, and may
have settings that lead requests elsewhere or block them (AWS SDKs and Tools Reference, "Precedence").
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Instead of ~/.aws/config and ~/.aws/credentials.
_FILE = str(Path(__file__).with_name("aws.ini"))
_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")

# Their neutral values; an empty profile would be looked up.
_NEUTRAL: Mapping[str, str] = {
    "AWS_CREDENTIAL_EXPIRATION": "",
    "AWS_DEFAULT_PROFILE": "default",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    "AWS_PROFILE": "default",
    "AWS_SECURITY_TOKEN": "",
    "AWS_SESSION_TOKEN": "",
    "AWS_SKIP_SIGNATURE": "false",
    "AWS_USE_DUALSTACK_ENDPOINT": "false",
    "AWS_USE_FIPS_ENDPOINT": "false",
    "FSSPEC_S3_ANON": "false",
    "FSSPEC_S3_TOKEN": "",
}

# Variables that choose the service or the key: they may be set in the program's environment, but not here.
_ALWAYS = frozenset({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_PROFILE", "AWS_SESSION_TOKEN"})

# Other names for a handle's variables.
_SAME_AS: Mapping[str, str] = {
    "AWS_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_S3_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "FSSPEC_S3_ENDPOINT_URL": "AWS_ENDPOINT_URL",
    "FSSPEC_S3_KEY": "AWS_ACCESS_KEY_ID",
    "FSSPEC_S3_SECRET": "AWS_SECRET_ACCESS_KEY",
    "S3_ENDPOINT_URL": "AWS_ENDPOINT_URL",
}


def overridden(found: Mapping[str, str]) -> dict[str, str]:
    """In addition to the handle's own (`found`): the files, and whatever this process has in its environment."""
    neutral = {
        name: value
        for name, value in _NEUTRAL.items()
        if name in _ALWAYS or os.environ.get(name, value) != value
    }
    same = {name: found[of] for name, of in _SAME_AS.items() if name in os.environ and of in found}
    return {**dict.fromkeys(_FILES, _FILE), **neutral, **same}
