#!/usr/bin/env python3
"""Checks an image: what it contains, that it writes the same files as the binary outside of it, and that it stops on SIGTERM.

    check_docker.py BINARY STEP_02 IMAGE     (STEP_02: a folder of source folders)
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
    """Checks that there is one program, no shell, and a /tmp that everybody can write to."""
    container = docker("create", tag).stdout.strip()
    try:
        export = subprocess.run([engine.command_line(), "export", container], check=True, capture_output=True).stdout
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(export)) as tar:
        members = {member.name.strip("/"): member for member in tar}
    # The engine adds empty files as mount points.
    programs = [name for name, member in members.items() if member.isfile() and member.mode & 0o111 and member.size]
    assert programs == [PROGRAM.strip("/")], programs
    assert members["tmp"].mode & 0o7777 == 0o1777
    assert members["data"].mode & 0o7777 == 0o775 and members["data"].gid == 0
    assert members["etc/ssl/certs/ca-certificates.crt"].size > 100_000


def mix(step_02, output, *more):
    return ["mix", f"--input={step_02}", f"--output={output}", "--tokenizer-model=builtin", "--cut-sizes=2,3", *more]


def files(folder):
    """All files of a folder by name; of the manifest, what does not differ between runs."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    if "manifest.json" in found:
        found["manifest.json"] = {key: value for key, value in json.loads(found["manifest.json"]).items() if key != "run"}
    return found


def is_complete(folder):
    manifest = folder / "manifest.json"
    return manifest.exists() and json.loads(manifest.read_text())["state"] == "complete"


def expected_files(binary, step_02, work):
    """The files that the binary writes outside of a container."""
    bare = work / "bare"
    subprocess.run([binary, *mix(step_02, bare)], check=True, capture_output=True)
    expected = files(bare)
    assert "manifest.json" in expected and "combined_cut_2x.jsonl" in expected, sorted(expected)
    return expected


def check_same_files(expected, step_02, tag, work):
    random_uid = random.randint(100_000, 2_000_000_000)
    for user in ([], [f"--user={random_uid}:0"]):
        output = pathlib.Path(tempfile.mkdtemp(dir=work))
        # As on OpenShift: the volume belongs to group 0, and the uid is arbitrary.
        os.chown(output, 0, 0)
        output.chmod(0o770)
        mounts = [f"-v={step_02}:/data/output/step_02:ro", f"-v={output}:/data/output/step_03"]
        docker("run", "--rm", *HARDENED, *user, *mounts, tag, PROGRAM, *mix("output/step_02", "output/step_03"))
        found = files(output)
        assert sorted(found) == sorted(expected), (user, sorted(found))
        for name, content in expected.items():
            assert found[name] == content, f"{user}: {name} differs from the file of the binary outside of the image"


def fill(folder, documents):
    """Writes enough rows to keep a run busy."""
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
    """Seconds from the signal to the exit by the engine's clock, because the docker commands take time, too."""
    window = [f"--since={since:.6f}", f"--until={time.time() + 0.5:.6f}"]
    only = [f"--filter=container={container}", "--filter=event=kill", "--filter=event=die"]
    printed = docker("events", *window, *only, "--format={{.Action}} {{.TimeNano}}").stdout
    times = dict(line.split() for line in printed.splitlines())
    return (int(times["die"]) - int(times["kill"])) / 1e9


def check_sigterm(tag, work, delay):
    """Sends SIGTERM to process 1, for which the kernel ignores signals without a handler, `delay` seconds into a run."""
    rows, documents = work / "rows", 200
    while True:
        # A folder for each attempt: a run that completes in time leaves its mix.
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
            published = code == 0 or "the mix was already complete" in logs.stderr
            assert is_complete(output) == published, ended
            if any(output.glob("combined*")) and documents < 5000:
                # The run completed before the signal arrived, or was just renaming its files.
                documents *= 3
                continue
            assert code == 143 and not os.listdir(output), ended
            took = seconds_to_die(container, since)
            assert took < 1, f"took {took:.2f} s to end"
            return took
        finally:
            docker("rm", "-f", container)


def check_memory(tag, work):
    """In a container with too little memory, a run ends by itself and says so; the kernel does not have to kill it."""
    rows, output = work / "large", pathlib.Path(tempfile.mkdtemp(dir=work))
    output.chmod(0o777)
    source = rows / "extractive_summary"
    source.mkdir(parents=True)
    row = {"document_outline": "o", "raw_document": "d", "document": "", "response": "r"}
    with open(source / "rows.jsonl", "w") as file:
        for summary in range(400):
            # A MiB of text that no other row has.
            text = f"{summary} " * (2**20 // len(f"{summary} "))
            file.write(json.dumps({**row, "document": text, "question": f"What does summary {summary} say?"}) + "\n")
    rows.chmod(0o755)
    mounts = [f"-v={rows}:/data/output/step_02:ro", f"-v={output}:/data/output/step_03"]
    limits = ["--memory=200m", "--memory-swap=200m"]
    ran = docker("run", "--rm", *HARDENED, *limits, *mounts, tag, PROGRAM, *mix("output/step_02", "output/step_03"), check=False)
    message = ran.stdout + ran.stderr
    # Nine tenths of what the container has.
    assert ran.returncode == 3 and "its limit is 180.00 MiB" in message, f"ended with {ran.returncode}: {message}"
    assert not os.listdir(output), os.listdir(output)


def main(binary, step_02, tag):
    binary, step_02 = pathlib.Path(binary).resolve(), pathlib.Path(step_02).resolve()
    subprocess.run([sys.executable, str(engine.ROOT / "pipelines/docker/make_rootfs.py"), "--check"], check=True)
    with engine.running(), tempfile.TemporaryDirectory(prefix="km-docker-") as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)
        size = check_image(tag)
        check_files(tag)
        check_same_files(expected_files(binary, step_02, work), step_02, tag, work)
        check_memory(tag, work)
        times = [check_sigterm(tag, work, delay) for delay in (0.3, 1, 2)]
    times = ", ".join(f"{seconds:.2f}" for seconds in times)
    print(f"docker: {size / 1e6:.1f} MB, the same files as outside for any uid on a read-only root, out of memory is exit 3, SIGTERM in {times} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
