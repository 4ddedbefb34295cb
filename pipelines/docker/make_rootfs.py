#!/usr/bin/env python3
"""Makes rootfs.tar.gz: the few files and folders that the image needs besides the binary.

The image has no shell to make them with, and COPY loses the sticky bit of /tmp; unpacking an archive keeps every mode.
The same bytes every time, so a test can tell whether the archive is fresh: `make_rootfs.py --check`.
"""

import gzip
import io
import pathlib
import sys
import tarfile

ARCHIVE = pathlib.Path(__file__).with_name("rootfs.tar.gz")

# name, mode, uid, content (None: a folder)
ENTRIES = [
    # Kubeflow and `docker run --read-only --tmpfs` aside, nobody mounts a /tmp.
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
    # What is inside, not the bytes: another zlib may pack the same entries differently.
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return [(i.name, i.mode, i.uid, i.gid, i.type, tar.extractfile(i).read() if i.isfile() else b"") for i in tar]


if sys.argv[1:] == ["--check"]:
    sys.exit(0 if content(ARCHIVE.read_bytes()) == content(archive()) else f"{ARCHIVE} is stale: run {__file__}")
ARCHIVE.write_bytes(archive())
