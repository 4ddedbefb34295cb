"""Finds or starts a Docker engine for the tests, and a command line that supports BuildKit.

Debian's docker.io is enough: version 20.10 builds with BuildKit without a plug-in and without pulling anything, if all stages
that are needed start FROM scratch or from an image that the engine has.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def command_line() -> str:
    """A docker command that builds with BuildKit. Newer versions need the buildx plug-in for that."""
    for candidate in filter(None, [os.environ.get("DOCKER"), "/usr/bin/docker", shutil.which("docker")]):
        if not pathlib.Path(candidate).exists():
            continue
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True).stdout
        built_in = int(version.split("version ")[1].split(".")[0]) < 23
        if built_in or subprocess.run([candidate, "buildx", "version"], capture_output=True).returncode == 0:
            return candidate
    raise SystemExit("no docker with BuildKit: apt-get install docker.io")


def docker(*arguments, check=True, **more):
    environment = dict(os.environ, DOCKER_BUILDKIT="1")
    command = [command_line(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@contextlib.contextmanager
def running():
    """Provides an engine: the running one, or one that is started for the test."""
    if docker("info", check=False).returncode == 0:
        yield
        return
    log = open("/tmp/knowledge-mixing-dockerd.log", "w")
    engine = subprocess.Popen(["dockerd"], stdout=log, stderr=log)
    try:
        for _ in range(60):
            if docker("info", check=False).returncode == 0:
                break
            assert engine.poll() is None, f"dockerd exited, see {log.name}"
            time.sleep(0.5)
        yield
    finally:
        engine.terminate()
        engine.wait(30)


def proxies() -> list:
    """Build arguments for a build that downloads. Docker predefines them and does not store them in the image."""
    names = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "no_proxy")]
    return [f"--build-arg={name}" for name in names]


def build_image(binary, tag, folder) -> None:
    """Builds the Dockerfile around a binary that was built outside, in a context with only the files that this needs."""
    context = pathlib.Path(folder)
    (context / "dist").mkdir(parents=True)
    (context / "pipelines/docker").mkdir(parents=True)
    shutil.copy(ROOT / "Dockerfile", context)
    shutil.copy(ROOT / ".dockerignore", context)
    shutil.copy(ROOT / "pipelines/docker/rootfs.tar.gz", context / "pipelines/docker")
    shutil.copy(binary, context / "dist/knowledge-mixing")
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context / "dist/ca-certificates.crt")
    docker("build", "-q", "--build-arg", "BINARY=provided", "-t", tag, context)
