"""Which file system a path lies on, by the text of mountinfo."""

from __future__ import annotations

from pathlib import Path

import pytest

from bunsui.stores.filesystems import NETWORK, Mount, damaging, mount_of, network_mount

MOUNTINFO = r"""
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw
25 22 0:23 / /proc rw,nosuid - proc proc rw
31 22 0:40 / /home rw,relatime shared:5 - autofs systemd-1 rw,fd=36
32 31 0:41 / /home/ann rw,relatime shared:6 master:2 - nfs4 server:/home/ann rw,vers=4.2
33 32 259:3 /scratch /home/ann/local rw - xfs /dev/nvme1n1 rw
34 22 0:42 / /mnt/with\040space\134and\011tab rw - fuse.sshfs ann@server: rw
35 22 0:43 / /data rw - cifs //server/data rw
36 22 259:4 / /data rw - ext4 /dev/sdb rw
nonsense
37 22
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/var/lib/store.db", Mount("/", "ext4")),
        ("/home/store.db", Mount("/home", "autofs")),
        ("/home/ann/store.db", Mount("/home/ann", "nfs4")),
        ("/home/ann", Mount("/home/ann", "nfs4")),
        ("/home/anna/store.db", Mount("/home", "autofs")),
        ("/home/ann/local/store.db", Mount("/home/ann/local", "xfs")),
        ("/mnt/with space\\and\ttab/store.db", Mount("/mnt/with space\\and\ttab", "fuse.sshfs")),
        ("/data/store.db", Mount("/data", "ext4")),
    ],
)
def test_the_longest_and_latest_mount_point_wins(path: str, mount: Mount) -> None:
    """By whole names, with what stands escaped; of two at one point it is the later one."""
    assert mount == mount_of(Path(path), MOUNTINFO)


def test_without_mounts() -> None:
    """Nothing is known where nothing is mounted, as far as the text says."""
    assert mount_of(Path("/x"), "") is None
    assert mount_of(Path("/x"), "36 22 259:4 / /data rw - ext4 /dev/sdb rw") is None


@pytest.mark.parametrize("type_", ["nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "fuse.sshfs"])
def test_network_file_systems(type_: str) -> None:
    """These belong to several machines."""
    assert type_ in NETWORK


@pytest.mark.parametrize(
    "type_", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "virtiofs", "fuse.ntfs-3g"]
)
def test_local_file_systems(type_: str) -> None:
    """These belong to one machine."""
    assert type_ not in NETWORK


def test_this_machine(tmp_path: Path) -> None:
    """A temporary folder is local, also through a symbolic link, and where nothing is there yet."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert network_mount(tmp_path / "link" / "folder" / "store.db") is None


def test_what_is_said_of_a_network_file_system() -> None:
    """The store that is refused and `bunsui doctor` say the same."""
    expected = "lies on /data, a network file system (nfs4), where SQLite can damage it"
    assert expected == damaging(Mount("/data", "nfs4"))
