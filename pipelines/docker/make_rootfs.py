#!/usr/bin/env python3
"""Writes rootfs.tar.gz: the few files and folders that the image needs in addition to the binary.

The image has no shell to create them with, and COPY loses the sticky bit of /tmp. Unpacking an archive keeps every mode.
`make_rootfs.py --check` tests whether the archive is up to date.
"""

import gzip
import io
import pathlib
import sys
import tarfile

ARCHIVE = pathlib.Path(__file__).with_name("rootfs.tar.gz")

# Name, mode, uid, content (None for a folder).
ENTRIES = [
    # Many engines mount no /tmp.
    ("tmp", 0o1777, 0, None),
    # The working directory: any uid with group 0 may write to it.
    ("data", 0o775, 65532, None),
    ("etc", 0o755, 0, None),
    ("etc/passwd", 0o644, 0, "root:x:0:0:root:/tmp:/sbin/nologin\nmixer:x:65532:0:mixer:/tmp:/sbin/nologin\n"),
    ("etc/group", 0o644, 0, "root:x:0:\n"),
    ("etc/nsswitch.conf", 0o644, 0, "passwd: files\ngroup: files\nhosts: files dns\n"),
]


def archive() -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for name, mode, uid, content in ENTRIES:
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.gid, info.mtime = mode, uid, 0, 0
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content.encode()))
    return packed.getvalue()


def content(packed: bytes) -> list:
    # Compares entries instead of bytes: another zlib may compress them differently.
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return [(i.name, i.mode, i.uid, i.gid, i.type, tar.extractfile(i).read() if i.isfile() else b"") for i in tar]


if sys.argv[1:] == ["--check"]:
    sys.exit(0 if content(ARCHIVE.read_bytes()) == content(archive()) else f"{ARCHIVE} is stale: run {__file__}")
ARCHIVE.write_bytes(archive())
