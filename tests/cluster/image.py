#!/usr/bin/env python3
"""Makes images without Docker, as archives that `docker load` and containerd read.

    image.py OUT TAG USER HOST_FILE=/path/in/image... [-- ENTRYPOINT...]

A file named busybox gets links for its commands. `write_program_image` makes what our Dockerfile makes around a static binary.
"""

import gzip
import hashlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
COMMANDS = "cat chmod cp echo env false find grep head id kill ls mkdir mv rm sh sha256sum sleep stat tail tar test touch true wc wget"


def layer(files) -> bytes:
    """A tar archive of files of this machine, with the folders above them."""
    made, buffer = set(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def add(name, mode, kind=tarfile.REGTYPE, data=b"", link=""):
            info = tarfile.TarInfo(name.strip("/"))
            info.mode, info.type, info.linkname, info.size = mode, kind, link, len(data)
            tar.addfile(info, io.BytesIO(data))

        for source, target in files:
            for folder in reversed(pathlib.PurePosixPath(target).parents[:-1]):
                if folder not in made:
                    made.add(folder)
                    add(str(folder), 0o755, tarfile.DIRTYPE)
            mode = 0o755 if pathlib.Path(source).stat().st_mode & 0o111 else 0o644
            add(target, mode, data=pathlib.Path(source).read_bytes())
            if target.endswith("/busybox"):
                for name in COMMANDS.split():
                    add(f"{pathlib.PurePosixPath(target).parent}/{name}", 0o777, tarfile.SYMTYPE, link=target)
    return buffer.getvalue()


def base() -> bytes:
    """What the Dockerfile puts below the program: /tmp, /data and the files that the C library reads in /etc."""
    return gzip.decompress((ROOT / "pipelines/docker/rootfs.tar.gz").read_bytes())


def write_archive(out, tag, layers, config) -> None:
    digests = [hashlib.sha256(content).hexdigest() for content in layers]
    machine = subprocess.run(["uname", "-m"], check=True, capture_output=True, text=True).stdout.strip()
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[machine],
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "tests/cluster/image.py"} for _ in layers],
    }
    image = json.dumps(image).encode()
    name = f"{hashlib.sha256(image).hexdigest()}.json"
    paths = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": paths}]).encode()
    with tarfile.open(out, "w") as tar:
        for path, content in [(name, image), *zip(paths, layers), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_program_image(out, tag, binary) -> None:
    """The image of our Dockerfile without Docker: the same layers; user, variables and folder as the Dockerfile says."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile[dockerfile.index("AS final"):]
    variables = re.search(r"^ENV (.*(?:\\\n.*)*)", final, re.MULTILINE)[1].replace("\\\n", " ").split()
    config = {
        "Env": variables,
        "User": re.search(r"^USER (\S+)", final, re.MULTILINE)[1],
        "WorkingDir": re.search(r"^WORKDIR (\S+)", final, re.MULTILINE)[1],
        "Cmd": json.loads(re.search(r"^CMD (\[.*\])", final, re.MULTILINE)[1]),
    }
    program = layer([(CERTIFICATES, CERTIFICATES), (binary, "/usr/local/bin/knowledge-mixing")])
    write_archive(out, tag, [base(), program], config)


def main(out, tag, user, *rest):
    at = rest.index("--") if "--" in rest else len(rest)
    files = [tuple(argument.split("=", 1)) for argument in rest[:at]]
    config = {"Env": ["PATH=/bin:/usr/local/bin:/usr/bin"], "User": user, "WorkingDir": "/"}
    if rest[at + 1:]:
        config["Entrypoint"] = list(rest[at + 1:])
    write_archive(out, tag, [base(), layer(files)], config)


if __name__ == "__main__":
    main(*sys.argv[1:])
