#!/usr/bin/env python3
"""The image, from source and around a binary built outside: what is in it, and that it does what the bare binary does.

    check_docker.py BINARY STEP_02 IMAGE     (IMAGE: made by check_source.py; STEP_02: a folder of source folders)
"""

import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import time

import engine
from engine import docker

LIMIT = 50_000_000
PROGRAM = "/usr/local/bin/knowledge-mixing"
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"]


def check_image(tag):
    image = json.loads(docker("image", "inspect", tag).stdout)[0]
    assert image["Size"] < LIMIT, f"the image has {image['Size']} bytes"
    config = image["Config"]
    assert config["User"] == "65532:0" and not config["Entrypoint"] and config["Cmd"] == [PROGRAM, "--help"]
    assert "HOME=/tmp" in config["Env"] and config["WorkingDir"] == "/data"
    labels = ["title", "description", "source", "version", "revision", "licenses", "created"]
    assert {f"org.opencontainers.image.{label}" for label in labels} <= set(config["Labels"])
    assert "Usage: knowledge-mixing" in docker("run", "--rm", *HARDENED, tag).stdout
    return image["Size"]


def check_files(tag):
    """One program, no shell, and a /tmp for everybody."""
    container = docker("create", tag).stdout.strip()
    try:
        export = subprocess.run([engine.command_line(), "export", container], check=True, capture_output=True).stdout
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(export)) as tar:
        members = {member.name.strip("/"): member for member in tar}
    # The engine itself puts empty files there to mount over.
    programs = [name for name, member in members.items() if member.isfile() and member.mode & 0o111 and member.size]
    assert programs == [PROGRAM.strip("/")], programs
    assert members["tmp"].mode & 0o7777 == 0o1777
    assert members["data"].mode & 0o7777 == 0o775 and members["data"].gid == 0
    assert members["etc/ssl/certs/ca-certificates.crt"].size > 100_000


def mix(step_02, output, *more):
    return ["mix", f"--input={step_02}", f"--output={output}", "--tokenizer-model=builtin", "--cut-sizes=2,3", *more]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def bare_files(binary, step_02, work):
    bare = work / "bare"
    subprocess.run([binary, *mix(step_02, bare)], check=True, capture_output=True)
    expected = files(bare)
    assert "manifest.json" in expected and "combined_cut_2x.jsonl" in expected, sorted(expected)
    return expected


def check_same_files(expected, step_02, tag, work):
    random_uid = random.randint(100_000, 2_000_000_000)
    for user in ([], [f"--user={random_uid}:0"]):
        output = pathlib.Path(tempfile.mkdtemp(dir=work))
        # As on OpenShift: the volume belongs to group 0, the uid is anybody's.
        os.chown(output, 0, 0)
        output.chmod(0o770)
        mounts = [f"-v={step_02}:/data/output/step_02:ro", f"-v={output}:/data/output/step_03"]
        docker("run", "--rm", *HARDENED, *user, *mounts, tag, PROGRAM, *mix("output/step_02", "output/step_03"))
        found = files(output)
        assert sorted(found) == sorted(expected), (user, sorted(found))
        for name, content in expected.items():
            assert found[name] == content, f"{user}: {name} is not what the bare binary makes"


def fill(folder, documents):
    """Rows enough to be busy with for a while."""
    source = folder / "extractive_summary"
    source.mkdir(parents=True, exist_ok=True)
    with open(source / "rows.jsonl", "w") as file:
        for document in range(documents):
            for summary in range(50):
                text = f"document {document}, summary {summary}: " + "how the pumps of the plant are serviced, " * 20
                for pair in range(5):
                    row = {
                        "document_outline": f"Manual {document}",
                        "document": text,
                        "raw_document": f"The whole manual {document}.",
                        "question": f"What does part {pair} of summary {summary} say of plant {document}?",
                        "response": f"It says how pump {pair} is serviced.",
                    }
                    file.write(json.dumps(row) + "\n")
    folder.chmod(0o755)


def seconds_to_die(container, since):
    """From the signal to the end, by the engine's own clock: the command lines around them take time too."""
    window = [f"--since={since:.6f}", f"--until={time.time() + 0.5:.6f}"]
    only = [f"--filter=container={container}", "--filter=event=kill", "--filter=event=die"]
    printed = docker("events", *window, *only, "--format={{.Action}} {{.TimeNano}}").stdout
    times = dict(line.split() for line in printed.splitlines())
    return (int(times["die"]) - int(times["kill"])) / 1e9


def check_sigterm(tag, work, delay):
    """As process 1, where the kernel drops a signal that has no handler; so many seconds into a run."""
    rows, documents = work / "rows", 200
    while True:
        # A folder of its own for each try: one that was done in time leaves its mix, as it should.
        output = pathlib.Path(tempfile.mkdtemp(dir=work))
        output.chmod(0o777)
        fill(rows, documents)
        mounts = [f"-v={rows}:/data/output/step_02:ro", f"-v={output}:/data/output/step_03"]
        arguments = mix("output/step_02", "output/step_03", "--cut-sizes=10,20,30,40,50", "--threads=1", "--compression=gzip")
        arguments.remove("--cut-sizes=2,3")
        container = docker("run", "-d", *HARDENED, *mounts, tag, PROGRAM, *arguments).stdout.strip()
        try:
            time.sleep(delay)
            since = time.time()
            docker("kill", "--signal=TERM", container, check=False)
            code = int(docker("wait", container).stdout)
            logs = docker("logs", container)
            ended = f"ended with {code} and left {os.listdir(output)}\n{logs.stdout}{logs.stderr}"
            whole = code == 0 or "the mix was whole already" in logs.stderr
            assert (output / "manifest.json").exists() == whole, ended
            if any(output.glob("combined*")) and documents < 5000:
                # It was done before the signal came, or was just giving the files their names.
                documents *= 3
                continue
            assert code == 143 and not os.listdir(output), ended
            took = seconds_to_die(container, since)
            assert took < 1, f"took {took:.2f} s to end"
            return took
        finally:
            docker("rm", "-f", container)


def taken_out(tag, work):
    """The program of an image, as a binary that was built outside."""
    container = docker("create", tag).stdout.strip()
    try:
        docker("cp", f"{container}:{PROGRAM}", work / "taken-out")
    finally:
        docker("rm", container)
    return work / "taken-out"


def main(binary, step_02, tag):
    binary, step_02 = pathlib.Path(binary).resolve(), pathlib.Path(step_02).resolve()
    subprocess.run([sys.executable, str(engine.ROOT / "pipelines/docker/make_rootfs.py"), "--check"], check=True)
    with engine.running(), tempfile.TemporaryDirectory(prefix="km-docker-") as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)
        provided = f"{tag}-provided"
        engine.build_image(taken_out(tag, work), provided, work / "context")
        expected = bare_files(binary, step_02, work)
        for each in (provided, tag):
            size = check_image(each)
            check_files(each)
            check_same_files(expected, step_02, each, work)
        docker("rmi", provided)
        took = [check_sigterm(tag, work, delay) for delay in (0.3, 1, 2)]
    took = ", ".join(f"{seconds:.2f}" for seconds in took)
    print(f"docker: {size / 1e6:.1f} MB, the bare binary's files as any uid on a read-only root, SIGTERM in {took} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
