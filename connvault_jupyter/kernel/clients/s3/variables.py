"""Variables that keep AWS programs at a handle's endpoint, whatever the machine is set up for. Nothing is set here.

Keys and endpoint of the environment count before a person's files, but a profile that is named must be there, and may
have settings with which a request goes elsewhere or not at all (AWS SDKs and Tools Reference, "Precedence").
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# In the place of ~/.aws/config and ~/.aws/credentials.
_FILE = str(Path(__file__).with_name("aws.ini"))
_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")

# How they are when they say nothing; an empty profile would be looked for.
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

# Those that choose the service or the key: they may be set where the variables go, and not here.
_ALWAYS = frozenset({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_PROFILE", "AWS_SESSION_TOKEN"})

# Other names of what a handle's variables say.
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
    """Besides those of the handle, `found`: the files, and what this process has in its environment."""
    neutral = {
        name: value
        for name, value in _NEUTRAL.items()
        if name in _ALWAYS or os.environ.get(name, value) != value
    }
    same = {name: found[of] for name, of in _SAME_AS.items() if name in os.environ and of in found}
    return {**dict.fromkeys(_FILES, _FILE), **neutral, **same}
