#!/usr/bin/env python3
"""pipelines/argo on a real Kubernetes with a real Argo.

    run_all.py BINARY [NAME...]

BINARY is linked statically (`make static`); NAME is a part of the name of a test. If KUBECONFIG is set, the tests use that cluster
(CONTRIBUTING.md says what it has to have), else one that `tests/cluster/cluster` makes and that is taken down at the end. What
explains a failure is kept in target/cluster-tests/.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLUSTER = HERE / "cluster"
IMAGE = "knowledge-mixing:0.1.0"
KEPT = ROOT / "target/cluster-tests"
INSIDE = "KM_CLUSTER_TESTS_INSIDE"


def main(binary, *names) -> int:
    if os.environ.get(INSIDE):
        return run_tests(names)
    if os.environ.get("KUBECONFIG"):
        print(f"cluster: that of KUBECONFIG={os.environ['KUBECONFIG']}; its nodes have the image {IMAGE} already", flush=True)
        return run_tests(names)
    if os.geteuid() != 0 or not (shutil.which("go") or is_built()):
        print("SKIPPED: the tests on a cluster: they need KUBECONFIG, or root and Go to make a cluster", flush=True)
        return 1 if os.environ.get("CI") == "true" else 0
    print("cluster: made here, by tests/cluster/cluster", flush=True)
    began = time.monotonic()
    try:
        for command in ("build", "up"):
            subprocess.run([CLUSTER, command], check=True, stdout=sys.stdout if command == "build" else subprocess.DEVNULL)
        with tempfile.TemporaryDirectory(prefix="km-image-") as folder:
            subprocess.run([CLUSTER, "image", program_image(binary, pathlib.Path(folder))], check=True, stdout=subprocess.DEVNULL)
        print(f"cluster: ready after {time.monotonic() - began:.0f} s", flush=True)
        command = [CLUSTER, "run", sys.executable, HERE / "run_all.py", binary, *names]
        return subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode
    finally:
        subprocess.run([CLUSTER, "down"])


def is_built() -> bool:
    folder = os.environ.get("KM_CLUSTER") or f"{os.environ.get('TMPDIR', '/tmp')}/km-cluster"
    return pathlib.Path(folder, "bin/versions").exists()


def program_image(binary, folder) -> pathlib.Path:
    """An archive of the image: of the Dockerfile if there is a Docker engine, else of image.py."""
    archive = folder / "image.tar"
    sys.path[:0] = [str(HERE), str(ROOT / "tests/workflow")]
    import engine
    import image

    if shutil.which("dockerd") or shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        print("image: of our Dockerfile, by Docker, around the static binary", flush=True)
        with engine.running():
            engine.build_image(binary, IMAGE, folder / "context")
            engine.docker("save", "-o", archive, IMAGE)
    else:
        print("image: STAND-IN: made by tests/cluster/image.py, because there is no Docker engine", flush=True)
        image.write_program_image(archive, f"docker.io/library/{IMAGE}", binary)
    return archive


def run_tests(names) -> int:
    import argo_tests
    import kube

    assert kube.S3, "S3_ENDPOINT is not set: an S3 server that pods and this machine reach"
    kube.upload_examples()
    shutil.rmtree(KEPT, ignore_errors=True)
    printing, failed, began = threading.Lock(), [], time.monotonic()

    def run_test(test) -> None:
        namespaces, since = [], time.monotonic()

        def make(name, **options):
            namespaces.append(kube.Namespace(name, **options))
            return namespaces[-1]

        try:
            figures = test(make)
            line = f"ok     {test.__name__} ({time.monotonic() - since:.0f} s){f': {figures}' if figures else ''}"
        except Exception:
            failed.append(test.__name__)
            folder = KEPT / test.__name__
            for namespace in namespaces:
                namespace.collect(folder)
            line = f"FAILED {test.__name__}\n{traceback.format_exc()}  kept: {folder}"
        for namespace in namespaces:
            namespace.delete()
        with printing:
            print(line, flush=True)

    chosen = [test for test in argo_tests.ALONE if is_chosen(test, names)]
    for test in chosen:
        run_test(test)
    together = [test for test in argo_tests.TOGETHER if is_chosen(test, names)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(run_test, together))
    count = len(chosen) + len(together)
    print(f"cluster: {count - len(failed)} passed, {len(failed)} failed in {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def is_chosen(test, names) -> bool:
    return not names or any(name in test.__name__ for name in names)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
