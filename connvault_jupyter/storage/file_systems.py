"""Detects whether a directory is on a file system that other hosts may write to. Knows nothing about SQLite."""

from __future__ import annotations

import re
from pathlib import Path

# WAL needs memory shared between all processes that use the database (https://www.sqlite.org/wal.html, "all processes
# must be on the same host"). Listed here: network and cluster file systems, and shared folders of virtual machines,
# whose mappings are not kept coherent with the host's.
NETWORK_TYPES = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
        "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs",
        "wekafs",
        "fuse.azurefile", "fuse.blobfuse2", "fuse.ceph", "fuse.ceph-fuse", "fuse.curlftpfs", "fuse.davfs2",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.moosefs", "fuse.prl_fsd",
        "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs", "fuse.vmhgfs-fuse",
    }
)  # fmt: skip

# Linux's list of this process's mounts: device, mount point, type, options (proc(5)).
MOUNTS = Path("/proc/self/mounts")


def on_network_file_system(directory: Path, *, mounts: Path = MOUNTS) -> bool:
    """Whether WAL would be unsafe in `directory`.

    Always False where this list does not exist (macOS).
    """
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return _type_of(directory.resolve(), table) in NETWORK_TYPES


def _type_of(directory: Path, table: str) -> str:
    found, depth = "", -1
    for line in table.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        mount_point = Path(_unescaped(parts[1]))
        # `>=`: of two mounts on one point, the later one hides the earlier one.
        if len(mount_point.parts) >= depth and directory.is_relative_to(mount_point):
            found, depth = parts[2], len(mount_point.parts)
    return found


def _unescaped(mount_point: str) -> str:
    """Space, tab, newline and backslash are written as octal escapes (getmntent(3))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mount_point)
