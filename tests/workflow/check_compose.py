#!/usr/bin/env python3
"""Runs the commands in the header of pipelines/docker/compose.yaml: fills a bucket, mixes from and to it, verifies the mix.

    check_compose.py IMAGE        (`docker compose`, or docker-compose 1.29 and up)
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import engine
import stand_in
from engine import ROOT, docker

FILE = ROOT / "pipelines" / "docker" / "compose.yaml"
# A separate project, so that a developer's trial is not disturbed.
PROJECT = "km-compose-test"


def command() -> list:
    """Compose as a plug-in of docker (new) or as a program (old)."""
    for candidate in [["docker", "compose"], ["docker-compose"]]:
        if shutil.which(candidate[0]) and subprocess.run([*candidate, "version"], capture_output=True).returncode == 0:
            return candidate
    print("SKIPPED: no compose (apt-get install docker-compose)", flush=True)
    sys.exit(stand_in.SKIPPED)


def documented_commands() -> list:
    lines = re.findall(r"^#   docker compose (.+)$", FILE.read_text(), re.M)
    assert lines == ["run --rm mix", "run --rm verify", "down --volumes"], lines
    return [line.split() for line in lines]


def remaining(kind, *arguments) -> list:
    return docker(kind, "ls", "-q", *arguments, f"--filter=label=com.docker.compose.project={PROJECT}").stdout.split()


def main(image):
    compose = [*command(), "-f", str(FILE), "-p", PROJECT]
    mix, verify, down = documented_commands()
    environment = dict(os.environ, KNOWLEDGE_MIXING_IMAGE=image)

    def run(arguments):
        # -T: `run` allocates a terminal by default.
        arguments = [*arguments[:1], "-T", *arguments[1:]] if arguments[0] == "run" else arguments
        done = subprocess.run([*compose, *arguments], capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout + done.stderr

    server = re.search(r"motoserver/moto:[\d.]+", FILE.read_text())[0]
    with engine.running(), stand_in.image(server, stand_in.moto):
        run(down)
        try:
            code, said = run(mix)
            assert code == 0 and "the mix is complete: s3://" in said, f"mix ended with {code}\n{said}\n{run(['logs'])[1]}"
            code, said = run(verify)
            assert code == 0 and "s3://knowledge/step_03: " in said, f"verify ended with {code}\n{said}"
        finally:
            code, printed = run(down)
        assert code == 0, printed
        remains = remaining("container", "-a") + remaining("network") + remaining("volume")
        assert not remains, f"not removed: {remains}"
    version = subprocess.run([*command(), "version", "--short"], capture_output=True, text=True).stdout.strip()
    verified = next(line for line in said.splitlines() if "s3://knowledge/step_03: " in line)
    print(f"compose {version}: {verified.strip()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
