"""Which file systems belong to several machines: SQLite's log needs the shared memory of one.

Two machines that write to one database over a network each have a memory of their own behind the ``-shm``
file, and damage it (https://www.sqlite.org/wal.html#overview: "WAL does not work over a network
filesystem").
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from attrs import frozen

#: The types of network file systems, as the kernel names them in mountinfo; those of FUSE have a prefix.
#: 9p is not among them: it is also how sandboxes and virtual machines reach the disk of their own host.
NETWORK = frozenset(
    {
        "acfs", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs",
        "lustre", "ncpfs", "ncp", "nfs", "nfs4", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs",
        "vboxsf",
        "fuse.afp", "fuse.blobfuse", "fuse.blobfuse2", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs",
        "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mfs",
        "fuse.moosefs", "fuse.mount-s3", "fuse.mountpoint-s3", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs",
        "fuse.sshfs", "fuse.vmhgfs-fuse",
    }
)  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@frozen
class Mount:
    """A mounted file system."""

    point: str
    #: As the kernel names it, such as ``"nfs4"``.
    type: str


def damaging(mount: Mount) -> str:
    """Why no store may lie on a network file system, after what names the store."""
    return f"lies on {mount.point}, a network file system ({mount.type}), where SQLite can damage it"


def network_mount(path: Path) -> Mount | None:
    """The network file system that `path` lies on; None for a local one, or where it can't be told."""
    mounts = ""
    with contextlib.suppress(OSError):  # Other systems have no such file.
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    found = mount_of(Path(os.path.realpath(path)), mounts) if mounts else None
    return found if found is not None and found.type in NETWORK else None


def mount_of(path: Path, mountinfo: str) -> Mount | None:
    """The file system that `path` lies on.

    Args:
        path: absolute and without symbolic links; nothing needs to be there.
        mountinfo: the text of ``/proc/self/mountinfo``, see proc_pid_mountinfo(5).
    """
    found: Mount | None = None
    name = f"{path}/"  # As text: a store is opened by every command, and there may be hundreds of mounts.
    for line in mountinfo.splitlines():
        # 36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # Of two at one point the later one hides the earlier.
        if name.startswith(f"{point.rstrip('/')}/") and (found is None or len(point) >= len(found.point)):
            found = Mount(point, after.split(" ")[0])
    return found
