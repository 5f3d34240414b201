"""CA certificates as files, for libraries that take a path only. Certificates are public; never put a key here.

The files live as long as the process: libpq reads the CA again when it cancels a query over TLS.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import tempfile
import threading

# Debian, Arch and Alpine; Fedora and RHEL; SUSE; macOS.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_lock = threading.Lock()
_folders: dict[int, str] = {}


def authority_file(pem: str) -> str:
    """The path of a file with this PEM text, in a folder that only this user may enter; gone when the process ends."""
    content = pem.encode()
    with _lock:
        folder = _folders.get(os.getpid())
        if folder is None:
            folder = _folders[os.getpid()] = tempfile.mkdtemp(prefix="connvault-ca-")
            atexit.register(_remove, os.getpid(), folder)
    path = os.path.join(folder, f"{hashlib.sha256(content).hexdigest()}.pem")
    # Written each time, beside and moved: a damaged file heals, and no reader sees half of one.
    descriptor, beside = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(beside, path)
    return path


def system_authorities() -> str | None:
    """The file with the CAs that the operating system trusts, `SSL_CERT_FILE` first as everywhere; `None`: not found.

    A library's wheel may bring an OpenSSL of its own, which looks for them in its builder's place.
    """
    import ssl

    candidates = (ssl.get_default_verify_paths().cafile, *_SYSTEM_BUNDLES)
    return next((path for path in candidates if path and os.path.isfile(path)), None)


def _remove(owner: int, folder: str) -> None:
    # A forked child inherits the hook, not the folder.
    if os.getpid() != owner:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
