"""Kubernetes and Argo for the tests: namespaces with the templates in them, workflows, volumes, buckets, and what to keep of a
failure."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import uuid

import boto3
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "pipelines"
ARGO = PIPELINES / "argo"
STEP_02 = ROOT / "examples" / "step_02"
S3 = os.environ.get("S3_ENDPOINT", "")
BUCKET = "knowledge-mixing-tests"
# Small enough for several pods at a time on a node of two CPUs. The examples run with the defaults.
SMALL = {"cpu": "100m", "memory": "256Mi"}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def run(*command, stdin=None, check=True) -> subprocess.CompletedProcess:
    command = [str(part) for part in command]
    done = subprocess.run(command, input=stdin, capture_output=True, text=not isinstance(stdin, bytes), cwd=ROOT)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)[:500]}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def s3():
    return boto3.client("s3", endpoint_url=S3, region_name="us-east-1")


def upload_examples() -> None:
    client = s3()
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    for path in STEP_02.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"step_02/{path.relative_to(STEP_02)}")


def read_object(url) -> bytes:
    bucket, key = url.removeprefix("s3://").split("/", 1)
    return s3().get_object(Bucket=bucket, Key=key)["Body"].read()


class Workflow:
    """A workflow that was submitted."""

    def __init__(self, namespace, name):
        self.namespace, self.name = namespace, name

    def read(self) -> dict:
        return json.loads(self.namespace.kubectl("get", "workflow", self.name, "-o", "json").stdout)

    def wait_until(self, what, happened, seconds=180) -> dict:
        """The workflow, as soon as `happened` is true for it."""
        end = time.monotonic() + seconds
        while True:
            workflow = self.read()
            if happened(workflow):
                return workflow
            assert time.monotonic() < end, f"{self.name}: {what}: not within {seconds} seconds: {messages(workflow)}"
            time.sleep(1)

    def end(self, seconds=180) -> dict:
        """The workflow at its end."""
        ended = ("Succeeded", "Failed", "Error")
        return self.wait_until("the end", lambda workflow: workflow.get("status", {}).get("phase") in ended, seconds)

    def succeed(self, seconds=180) -> dict:
        workflow = self.end(seconds)
        assert workflow["status"]["phase"] == "Succeeded", f"{self.name}: {messages(workflow)}"
        return workflow

    def fail(self, seconds=180) -> dict:
        workflow = self.end(seconds)
        assert workflow["status"]["phase"] != "Succeeded", f"{self.name} has succeeded"
        return workflow

    def pod(self, workflow, template) -> dict:
        """The pod of a template, if it is still there."""
        [node] = nodes(workflow, "Pod", template)
        # Argo's names of pods: workflow, template, and the number at the end of the node's id.
        name = f"{self.name}-{template}-{node['id'].rsplit('-', 1)[1]}"
        return json.loads(self.namespace.kubectl("get", "pod", name, "-o", "json").stdout)


def nodes(workflow, kind, template) -> list:
    """The nodes of a kind (`Pod`, `Retry`) of a template, in the order of their start."""
    found = [
        node
        for node in workflow.get("status", {}).get("nodes", {}).values()
        if node["type"] == kind and (node.get("templateRef", {}).get("template") or node.get("templateName")) == template
    ]
    return sorted(found, key=lambda node: node["startedAt"])


def outputs(workflow, template) -> dict:
    """The output parameters of a template that ran once."""
    [node] = nodes(workflow, "Pod", template)
    return {parameter["name"]: parameter.get("value", "") for parameter in node["outputs"].get("parameters", [])}


def messages(workflow) -> str:
    status = workflow.get("status", {})
    found = [f"{status.get('phase')}: {status.get('message', '')}"]
    for node in status.get("nodes", {}).values():
        found.append(f"{node['displayName']}: {node['phase']}: {node.get('message', '')}")
    return "\n  ".join(found)


def seconds(workflow, start="creation") -> float:
    """The seconds from creation (or the start) of a workflow to its end."""
    begin = workflow["metadata"]["creationTimestamp"] if start == "creation" else workflow["status"]["startedAt"]
    return timestamp(workflow["status"]["finishedAt"]) - timestamp(begin)


def timestamp(text) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def example(file) -> dict:
    """A file of pipelines/argo."""
    return yaml.safe_load((ARGO / file).read_text())


def steps(*groups, **spec) -> dict:
    """A workflow of our templates, one after the other. Each group is (template, parameters)."""
    made = [
        [
            {
                "name": template,
                "templateRef": {"name": "knowledge-mixing", "template": template},
                "arguments": {"parameters": [{"name": name, "value": value} for name, value in parameters.items()]},
            }
        ]
        for template, parameters in groups
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "test-"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "steps": made}], **spec},
    }


class Namespace:
    """A namespace with the templates in it, and a bucket and a secret that gives access to it."""

    def __init__(self, name, restricted=False, overlay="argo", components=(), made_by_test=False):
        if made_by_test:
            self.name = name
            return
        # A name of its own, because a namespace of an earlier run may still be disappearing.
        self.name = f"km-{name}-{uuid.uuid4().hex[:5]}"
        run("kubectl", "create", "namespace", self.name)
        if restricted:
            run("kubectl", "label", "namespace", self.name, "pod-security.kubernetes.io/enforce=restricted")
        secret = {
            "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": S3,
            # Pods reach nothing else; the parameters of a workflow win over this.
            "TOKENIZER_MODEL": "builtin",
            "CUT_SIZES": "2,3",
        }
        self.secret("knowledge-mixing-s3", secret)
        self.apply_overlay(overlay, components)

    def apply_overlay(self, overlay, components=()) -> None:
        """Applies a folder of pipelines/, or an overlay of it with components, as README says."""
        if not components:
            self.kubectl("apply", "-k", PIPELINES / overlay)
            return
        with tempfile.TemporaryDirectory(prefix="km-overlay-") as folder:
            for name in {"argo", overlay}:
                shutil.copytree(PIPELINES / name, pathlib.Path(folder) / name)
            lines = {"resources": [f"../{overlay}"], "components": [f"../argo/{name}" for name in components]}
            (pathlib.Path(folder) / "mine").mkdir()
            (pathlib.Path(folder) / "mine/kustomization.yaml").write_text(yaml.safe_dump(lines))
            self.kubectl("apply", "-k", f"{folder}/mine")

    def kubectl(self, *arguments, **more):
        return run("kubectl", "-n", self.name, *arguments, **more)

    def apply(self, *documents) -> None:
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(document) for document in documents))

    def secret(self, name, values) -> None:
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})

    def submit(self, workflow, **parameters) -> Workflow:
        """Submits a workflow: a dictionary, or the name of a file in pipelines/argo, as it is, with `argo submit`."""
        if isinstance(workflow, str):
            given = [f"-p{name.replace('_', '-')}={value}" for name, value in parameters.items()]
            printed = run("argo", "-n", self.name, "submit", ARGO / workflow, "-o", "name", *given).stdout
            return Workflow(self, printed.strip())
        created = self.kubectl("create", "-f", "-", "-o", "name", stdin=json.dumps(workflow)).stdout
        return Workflow(self, created.strip().split("/")[1])

    def volume(self, **options) -> "Volume":
        return Volume(self, **options)

    def delete(self) -> None:
        run("kubectl", "delete", "namespace", self.name, "--wait=false", check=False)

    def collect(self, folder) -> None:
        """Writes what explains a failure: workflows, events, pods and their logs, the controller's log."""
        folder = pathlib.Path(folder) / self.name
        folder.mkdir(parents=True, exist_ok=True)

        def keep(file, *command):
            done = run(*command, check=False)
            (folder / file).write_text(done.stdout + done.stderr)

        keep("workflows.yaml", "kubectl", "-n", self.name, "get", "workflows", "-o", "yaml")
        keep("events.txt", "kubectl", "-n", self.name, "get", "events", "--sort-by=.lastTimestamp")
        keep("pods.txt", "kubectl", "-n", self.name, "describe", "pods")
        found = json.loads(run("kubectl", "-n", self.name, "get", "workflows", "-o", "json").stdout)["items"]
        text = "\n\n".join(f"{workflow['metadata']['name']}: {messages(workflow)}" for workflow in found)
        (folder / "messages.txt").write_text(text + "\n")
        pods = json.loads(run("kubectl", "-n", self.name, "get", "pods", "-o", "json").stdout)["items"]
        for pod in (pod["metadata"]["name"] for pod in pods):
            keep(f"{pod}.log", "kubectl", "-n", self.name, "logs", pod, "--all-containers", "--prefix")
        if os.environ.get("KM_LOGS"):
            shutil.copy(pathlib.Path(os.environ["KM_LOGS"]) / "workflow-controller.log", folder)
        else:
            keep("workflow-controller.log", "kubectl", "-n", "argo", "logs", "deployment/workflow-controller", "--tail=5000")


class Volume:
    """A claim with the examples in the folder step_02, and a pod that looks at it.

    Without `fs_group`, the volume belongs to group 0 and is writable for it; with it, only the cluster can make it writable."""

    def __init__(self, namespace, claim="knowledge-tuning", fs_group=None):
        self.namespace, self.pod = namespace, f"look-at-{claim}"
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        folders = os.environ.get("KM_VOLUMES")
        if folders:
            name = f"{namespace.name}-{claim}"
            folder = pathlib.Path(folders) / name
            folder.mkdir(parents=True)
            shutil.copytree(STEP_02, folder / "step_02")
            folder.chmod(0o755 if fs_group else 0o770)
            spec |= {"storageClassName": "", "volumeName": name}
            namespace.apply(local_volume(name, folder))
        namespace.apply(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}, "spec": spec},
            pod_with_claim(self.pod, claim, fs_group),
        )
        namespace.kubectl("wait", "--for=condition=Ready", f"pod/{self.pod}", "--timeout=120s")
        if not folders:
            tar = subprocess.run(["tar", "-C", STEP_02.parent, "-c", "step_02"], check=True, capture_output=True).stdout
            self.shell("tar -x -C /data", stdin=tar)

    def shell(self, script, stdin=None):
        interactive = ["-i"] if stdin is not None else []
        return self.namespace.kubectl("exec", *interactive, self.pod, "--", "sh", "-c", script, stdin=stdin).stdout

    def modes(self, folder) -> dict:
        """Mode, user and group of everything in a folder, by path."""
        lines = self.shell(f"find /data/{folder} -exec stat -c '%a %u:%g %n' {{}} +").splitlines()
        found = (re.fullmatch(r"(\d+) (\d+:\d+) (.*)", line).groups() for line in lines)
        return {path: (int(mode, 8), owner) for mode, owner, path in found}


def local_volume(name, folder) -> dict:
    [node] = json.loads(run("kubectl", "get", "nodes", "-o", "json").stdout)["items"]
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node["metadata"]["labels"]["kubernetes.io/hostname"]]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }


def pod_with_claim(name, claim, fs_group) -> dict:
    container = {
        "name": "main",
        "image": "busybox:1.37",
        "command": ["sh", "-c", "sleep 3600"],
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [container],
            # The group is the same for all pods: the first one that mounts a local volume decides.
            "securityContext": {"runAsUser": 1000680001, "runAsGroup": 0, **({"fsGroup": fs_group} if fs_group else {})},
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }
