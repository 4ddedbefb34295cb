#!/usr/bin/env python3
"""Runs the lines of docs/engines.md about Kubeflow Pipelines, with stand-ins for the cluster and the backend's API.

The backend cannot be had here. `kubectl`, `docker`, `kind` and `pip` only check what they are asked for; `python` and Kubeflow's command
line are real; its API is a server that keeps what it is sent. tests/cluster runs the lines about Argo on a real one.
"""

import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 8888


class Api(http.server.BaseHTTPRequestHandler):
    """As much of the API of Kubeflow Pipelines as `kfp run create` needs."""

    created = {}
    TIMES = {key: "2026-01-01T00:00:00Z" for key in ["created_at", "scheduled_at", "finished_at"]}

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.endswith("/runs/1"):
            self.answer({**self.created["runs"], **self.TIMES, "run_id": "1", "state": "PENDING"})
        else:
            self.answer({"experiments": []} if path.endswith("/experiments") else {"multi_user": False})

    def do_POST(self):
        kind = self.path.split("?")[0].rsplit("/", 1)[1]
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.created[kind] = sent
        self.answer({**sent, **self.TIMES, "experiment_id": "1", "run_id": "1"})

    def log_message(self, *_):
        pass


def write_stand_ins(folder):
    pinned = (ROOT / "tests/workflow/requirements.txt").read_text().splitlines()
    assert {"kfp==2.17.0", "kfp-kubernetes==2.17.0"} <= set(pinned)
    scripts = {
        "kubectl": 'case "$*" in *"?ref=2.17.0"|*wait*|*"port-forward svc/ml-pipeline 8888:8888") ;; *) exit 9;; esac',
        "docker": '[ "$*" = "build -t knowledge-mixing:0.1.0 ." ]',
        "kind": '[ "$*" = "load docker-image knowledge-mixing:0.1.0" ]',
        "pip": '[ "$*" = "install kfp==2.17.0 kfp-kubernetes==2.17.0" ]',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def main():
    text = (ROOT / "docs/engines.md").read_text()
    section = text[text.index("\n## Kubeflow Pipelines") :]
    lines = [line.strip() for line in re.search(r"\n\n((?:    \S.*\n)+)", section)[1].splitlines()]
    assert len(lines) == 10, lines
    server = http.server.ThreadingHTTPServer(("localhost", PORT), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = (ROOT / "pipelines/kubeflow/pipeline.yaml").read_bytes()
    with tempfile.TemporaryDirectory(prefix="km-stand-ins-") as folder:
        write_stand_ins(pathlib.Path(folder))
        path = f"{folder}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "KUBECONFIG": "/dev/null", "PYTHONWARNINGS": "ignore"}
        for line in lines:
            done = subprocess.run(["bash", "-euc", line], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    server.shutdown()
    assert (ROOT / "pipelines/kubeflow/pipeline.yaml").read_bytes() == before, "pipeline.yaml is stale"
    run = Api.created["runs"]
    spec = run["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "knowledge-tuning" == yaml.safe_load(before)["pipelineInfo"]["name"], spec["pipelineInfo"]
    assert run["runtime_config"]["parameters"] == {"tokenizer_model": "builtin", "cut_sizes": "2,5"}, run["runtime_config"]
    print("docs/engines.md: the lines about Kubeflow passed, with stand-ins for kubectl, docker, kind, pip and the backend's API")


if __name__ == "__main__":
    main()
