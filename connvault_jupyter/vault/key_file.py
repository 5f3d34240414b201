"""The key-file custodian: slots' secrets in a file, for servers that start without a person and without a keyring.
Never put a secret of a connection into it.

A line for each slot, so that one file serves several vaults: `connvault-jupyter-key-1 <name> <secret in base64>`.
Lines that begin with `#` and empty ones are skipped; another format needs another first word, and is refused.
Parameters, version 1: none. Where the file lies is a setting: it may lie elsewhere on another machine.

Who can read the file opens the vault, so it is accepted only if nobody else can:

- a file of ours: mode 0600 or less, one name, no symbolic link, in a folder of ours or root's that others can't write;
- a file of root's, as a mounted secret or systemd's `$CREDENTIALS_DIRECTORY` has it: nobody but root can write it or
  its folder, which is root's too, and others can't read it. Its group may: by an ACL for the service's user (which
  shows as the group's rights) or a group of its own, root has said who that is. A link in such a folder is root's as
  well, and followed: Kubernetes mounts secrets as links.

A file of root's is only read. To have a key there, add the slot with a file of one's own, then give its content to
whatever mounts it.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from ..contracts.vault import CustodianKind
from ..errors import CustodianUnavailable, VaultError
from ..services.vault_ports import Availability
from .custodian import MasterKeyCustodian

LABEL = "Key file"
DETAIL = (
    "Protects a copied data folder, not from notebooks: code that runs as you can read the file too. You type "
    "nothing after a restart."
)

_FORM = "connvault-jupyter-key-1"
# 43 characters and a padding are 32 bytes.
_LINE = re.compile(rf"{_FORM} ([A-Za-z0-9_.-]{{1,200}}) ([A-Za-z0-9+/]{{43}}=)", re.ASCII)

# Whoever has the folder locked holds it for a few syncs of the disk. Any reader of the folder can have it for ever.
_LOCK_TIMEOUT_S = 5.0
_PAUSE_S = 0.01

# More lines than anybody has vaults: a device or a wrong file is not read to its end.
_MAX_BYTES = 64 * 1024

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


class KeyFileCustodian(MasterKeyCustodian):
    """Keeps keys in the file `path`.

    Args:
        uid: who we are; `None`: the effective user of this process.
        root: who may have put the file there for us.
    """

    kind: ClassVar[CustodianKind] = "key_file"

    def __init__(self, *, path: Path, uid: int | None = None, root: int = 0) -> None:
        self._path = path
        self._uid = os.geteuid() if uid is None else uid
        self._root = root

    def availability(self) -> Availability:
        """Whether the file can be used, or made."""
        try:
            self._keys()
        except VaultError as error:
            return Availability(available=False, label=LABEL, detail=error.message)
        return Availability(available=True, label=LABEL, detail=DETAIL)

    def _keep(
        self,
        name: str,
        key: bytes,
        passphrase: str | None,  # noqa: ARG002 - the file has none
    ) -> Mapping[str, Any]:
        with self._changing() as keys:
            keys[name] = key
        return {}

    def _recover(
        self,
        name: str,
        parameters: Mapping[str, Any],  # noqa: ARG002 - it has none
        passphrase: str | None,  # noqa: ARG002 - the file has none
    ) -> bytes:
        found = self._keys().get(name)
        if found is None:
            raise CustodianUnavailable(
                f"The key file {self._path} has no key for this vault. Restore it, or unlock the vault by another "
                "key slot."
            )
        return found

    def _forget(self, name: str, parameters: Mapping[str, Any]) -> None:  # noqa: ARG002 - it has none
        with self._changing() as keys:
            keys.pop(name, None)

    def _keys(self) -> dict[str, bytes]:
        with self._folder(self._path) as folder:
            return self._read(folder)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, bytes]]:
        """The keys, which are written again at the end of the block; another process waits for that."""
        with self._folder(self._path) as folder:
            self._lock(folder)
            keys = self._read(folder)
            before = dict(keys)
            yield keys
            if keys != before:
                self._write(folder, keys)

    def _lock(self, folder: int) -> None:
        """Until the folder is closed. Raises: CustodianUnavailable: somebody else has it for too long."""
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CustodianUnavailable(
                        f"Another program has locked the folder of the key file {self._path}. End it, or put the "
                        "key file into a folder that only you can read, then try again."
                    ) from None
                time.sleep(_PAUSE_S)
            except OSError as exc:
                raise self._unusable(exc) from None
            else:
                return

    @contextmanager
    def _folder(self, path: Path) -> Iterator[int]:
        """A descriptor of the folder of `path`, through which the file is reached: it can't be exchanged meanwhile."""
        if not path.is_absolute():
            raise CustodianUnavailable(
                "ConnvaultExtension.key_file is no absolute path, or it names a variable that is not set."
            )
        try:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as exc:
            raise self._unusable(exc) from None
        try:
            found = os.fstat(folder)
            if found.st_uid not in (self._uid, self._root) or found.st_mode & _WRITABLE:
                raise CustodianUnavailable(
                    f"Others can write into the folder of the key file {path}. Put it into a folder of your own "
                    "that only you can write (chmod go-w)."
                )
            yield folder
        finally:
            os.close(folder)

    def _read(self, folder: int) -> dict[str, bytes]:
        try:
            content = self._content(folder, self._path)
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise self._unusable(exc) from None
        return self._parsed(content)

    def _content(self, folder: int, path: Path, *, followed: bool = False) -> bytes:
        """Raises: OSError, CustodianUnavailable."""
        # Not blocking: it may be a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            file = os.open(path.name, flags, dir_fd=folder)
        except OSError as exc:
            if exc.errno not in (errno.ELOOP, errno.EMLINK):
                raise
            if followed or os.fstat(folder).st_uid != self._root:
                raise CustodianUnavailable(
                    f"The key file {self._path} is a symbolic link. Replace it with a file."
                ) from None
            real = Path(os.path.realpath(path))
            with self._folder(real) as where:
                return self._content(where, real, followed=True)
        try:
            self._accepted(os.fstat(file), os.fstat(folder))
            with open(file, "rb", closefd=False) as opened:
                content = opened.read(_MAX_BYTES + 1)
        finally:
            os.close(file)
        if len(content) > _MAX_BYTES:
            raise self._damaged()
        return content

    def _accepted(self, file: os.stat_result, folder: os.stat_result) -> None:
        """Raises: CustodianUnavailable: somebody else could read or exchange it."""
        if not stat.S_ISREG(file.st_mode):
            raise self._damaged()
        ours = file.st_uid == self._uid and not file.st_mode & _OTHERS and file.st_nlink == 1
        roots = file.st_uid == folder.st_uid == self._root and not file.st_mode & (_WRITABLE | stat.S_IRWXO)
        if not ours and not roots:
            raise CustodianUnavailable(
                f"Others could read or change the key file {self._path}. It must be yours alone (chmod 600), with "
                "one name; or root's, as a mounted secret, with mode 0400 or 0440."
            )

    def _parsed(self, content: bytes) -> dict[str, bytes]:
        keys = {}
        for line in content.decode("ascii", "replace").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            if found is None:
                raise self._damaged()
            keys[found[1]] = base64.b64decode(found[2])
        return keys

    def _write(self, folder: int, keys: Mapping[str, bytes]) -> None:
        """The file as a whole or not at all; without keys it goes."""
        try:
            if not keys:
                os.unlink(self._path.name, dir_fd=folder)
                return
            # Always the same name, as the folder is locked: what a process left here that was killed goes.
            made = f".{self._path.name}.part"
            with suppress(FileNotFoundError):
                os.unlink(made, dir_fd=folder)
            # Exclusively, so no link is followed either.
            file = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder)
            try:
                with open(file, "w", encoding="ascii") as opened:
                    for name, key in keys.items():
                        print(_FORM, name, base64.b64encode(key).decode("ascii"), file=opened)
                    opened.flush()
                    os.fsync(file)
                os.rename(made, self._path.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(made, dir_fd=folder)
                raise
        except OSError as exc:
            raise self._unusable(exc) from None

    def _unusable(self, error: OSError) -> CustodianUnavailable:
        return CustodianUnavailable(
            f"The key file {self._path} can't be used ({error.strerror or type(error).__name__}). Check "
            "ConnvaultExtension.key_file and the rights of its folder."
        )

    def _damaged(self) -> CustodianUnavailable:
        return CustodianUnavailable(
            f"The key file {self._path} is none of connvault's, is damaged, or is from a newer version."
        )
