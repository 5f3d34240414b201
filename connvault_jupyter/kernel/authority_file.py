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


def _remove(owner: int, folder: str) -> None:
    # A forked child inherits the hook, not the folder.
    if os.getpid() != owner:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
