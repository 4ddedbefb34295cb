"""Public images for the tests: the real image from a registry or, if none can be reached, a stand-in with the same name.

A stand-in is Debian bookworm (debootstrap) plus the additions of the real image, taken from this machine or a package registry:
enough to run a Dockerfile or compose file unchanged. It contains this machine's package registry settings, so it must never
leave the machine. Its tag is removed at the end; the layers stay in the engine's cache, so the next run is short.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

import engine
from engine import docker

SKIPPED = 77
LABEL = "knowledge-mixing.stand-in"
PACKAGES = "ca-certificates,gcc,g++,make,libc6-dev,git,pkg-config,python3,python3-pip"
DEBIAN = f"knowledge-mixing-stand-in:bookworm-{zlib.crc32(PACKAGES.encode()):08x}"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@contextlib.contextmanager
def image(reference, make):
    """Provides `reference` to the engine inside of the `with` block."""
    if docker("pull", reference, check=False).returncode == 0 or is_real(reference):
        print(f"base image: {reference}", flush=True)
        yield
        return
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print(f"SKIPPED: no registry reachable for {reference}, and a stand-in needs root and debootstrap", flush=True)
        sys.exit(SKIPPED)
    print(f"base image: STAND-IN for {reference}: no registry reachable", flush=True)
    with tempfile.TemporaryDirectory(prefix="km-stand-in-") as folder:
        make(reference, pathlib.Path(folder))
    try:
        yield
    finally:
        docker("rmi", reference, check=False)


def is_real(reference) -> bool:
    """Whether the engine has the real image, and not a stand-in that a killed run has left behind."""
    label = docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', reference, check=False)
    return label.returncode == 0 and not label.stdout.strip()


def debian() -> None:
    """Builds the base of both stand-ins."""
    if docker("image", "inspect", DEBIAN, check=False).returncode == 0:
        return
    folder = tempfile.mkdtemp(prefix="km-debian-")
    try:
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        # For containers that do not run as root.
        os.chmod(folder, 0o755)
        left_out = ["--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*"]
        tar = subprocess.Popen(["tar", "-C", folder, "--one-file-system", *left_out, "-c", "."], stdout=subprocess.PIPE)
        docker("import", "-", DEBIAN, stdin=tar.stdout)
        assert tar.wait() == 0
    finally:
        # --one-file-system, because debootstrap mounts /proc there temporarily.
        subprocess.run(["rm", "-rf", "--one-file-system", folder])


def build(reference, folder, lines) -> None:
    lines = [f"FROM {DEBIAN}", f"LABEL {LABEL}=true", f"COPY ca-certificates.crt {CERTIFICATES}", *lines]
    debian()
    shutil.copy(CERTIFICATES, folder)
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    docker("build", "--network=host", *engine.proxies(), "-t", reference, folder)


def settings(pattern) -> list:
    """The environment variables that configure this machine's package registry."""
    return [f'ENV {name}="{value}"' for name, value in os.environ.items() if re.fullmatch(pattern, name)]


def copy_first(folder, name, candidates) -> None:
    """Copies this machine's settings file, or writes an empty one if it has none."""
    found = [path for path in candidates if path.is_file()]
    (folder / name).write_bytes(found[0].read_bytes() if found else b"")


def rust(reference, folder) -> None:
    """Has the layout of the official image, with this machine's toolchain."""
    printed = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout
    sysroot = pathlib.Path(printed.strip())
    for pattern in ["bin/cargo", "bin/rustc", "lib/*.so*", "lib/rustlib"]:
        for path in sysroot.glob(pattern):
            target = folder / "toolchain" / path.relative_to(sysroot)
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", path, target], check=True)
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    copy_first(folder, "config.toml", [home / "config.toml", home / "config"])
    lines = [
        "ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:/usr/local/bin:/usr/bin:/bin",
        *settings(r"CARGO_(HTTP|NET|REGISTR|SOURCE)\w*"),
        "COPY toolchain /usr/local/rustup/toolchains/stand-in",
        "COPY config.toml /usr/local/cargo/config.toml",
        "RUN mkdir /usr/local/cargo/bin && ln -s /usr/local/rustup/toolchains/stand-in/bin/* /usr/local/cargo/bin/"
        " && cargo --version",
    ]
    build(reference, folder, lines)


def moto(reference, folder) -> None:
    """moto's server of that version, installed like in the official image."""
    home = pathlib.Path.home()
    copy_first(folder, "pip.conf", [home / ".config/pip/pip.conf", home / ".pip/pip.conf", pathlib.Path("/etc/pip.conf")])
    lines = [
        *settings(r"PIP_\w+"),
        "COPY pip.conf /etc/pip.conf",
        f"RUN pip3 install --no-cache-dir --break-system-packages 'moto[server]=={reference.split(':')[1]}'",
        "ENV PYTHONUNBUFFERED=1",
        'ENTRYPOINT ["/usr/local/bin/moto_server", "-H", "0.0.0.0"]',
        "EXPOSE 5000",
    ]
    build(reference, folder, lines)
