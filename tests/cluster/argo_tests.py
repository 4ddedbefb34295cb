"""What pipelines/argo and docs/engines.md promise, on a real Argo.

Each test is a function of `make`, which makes its namespaces. Tests run at the same time, except for those of ALONE, which measure
time.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import kube
from kube import ARGO, BUCKET, ROOT, SMALL, example, messages, nodes, outputs, read_object, run, seconds, steps

STEP_02 = f"s3://{BUCKET}/step_02"
# What a failure costs besides the pod itself: the first backoff, before Argo looks at the retry expression, and Argo's own pace.
# Wanted are about ten seconds; the rest is for busy machines.
AT_ONCE = 25


def output(namespace, name="step_03") -> str:
    return f"s3://{BUCKET}/{namespace.name}/{name}"


def mix(namespace, name="step_03", **parameters):
    """A step that mixes the examples to a bucket, with little reserved, so that tests fit on a small node."""
    return ("mix", {"input": STEP_02, "output": output(namespace, name), **SMALL, **parameters})


def manifest(location) -> dict:
    return json.loads(read_object(f"{location}/manifest.json"))


def check_mix(workflow, location, cuts) -> None:
    """The output parameters of a mix and its files agree."""
    found, written = outputs(workflow, "mix"), manifest(location)
    assert written["state"] == "complete" and found["feasible_cuts"] == json.dumps(cuts, separators=(",", ":")), found
    assert found["selected_cut"] == str(cuts[-1]) and found["dataset_uri"] == f"{location}/combined_cut_{cuts[-1]}x.jsonl", found
    rows = read_object(found["dataset_uri"]).splitlines()
    assert found["total_samples"] == str(len(rows)), found
    assert found["total_tokens"] == str(sum(json.loads(row)["token_length"] for row in rows)), found
    metrics = json.loads(read_object(f"{location}/metrics.json"))
    figures = {name: str(metrics[f"rows.{name.removeprefix('rows_')}"]) for name in ("rows_read", "rows_kept", "rows_dropped")}
    figures["longest_sample"] = str(metrics[f"cut_{cuts[-1]}.token_length.max"])
    assert figures.items() <= found.items(), (figures, found)
    # Not counted by this run.
    assert found["loss_tokens"] == found["preflight_steps"] == "", found


# --- alone: time


def the_example_as_it_is_in_a_restricted_namespace(make):
    """Measures the time from `argo submit` to Succeeded, and the step's own share."""
    namespace = make("example", restricted=True)
    # The first pods of a node also unpack images.
    for name in ("unpacks", "measured"):
        workflow = namespace.submit(
            "s3-to-s3.yaml", input=STEP_02, output=output(namespace, name), tokenizer_model="builtin", cut_sizes="4,8"
        ).succeed()
    check_mix(workflow, output(namespace, "measured"), [4, 8])
    pods = {
        template: kube.timestamp(node["finishedAt"]) - kube.timestamp(node["startedAt"])
        for template in ("mix", "verify")
        for node in nodes(workflow, "Pod", template)
    }
    shares = ", ".join(f"pod of {template} {took:.0f} s" for template, took in pods.items())
    return f"from submission to Succeeded {seconds(workflow):.0f} s: {shares}"


def a_wrong_setting_ends_the_workflow_at_once(make):
    """The first backoff comes before the retry expression is looked at, so it has to be short."""
    namespace = make("wrong", restricted=True)
    took = []
    for step, message in [
        (mix(namespace, seed="x"), "--seed: invalid value `x`"),
        (mix(namespace, input=f"s3://{BUCKET}/nothing"), "(exit code 66)"),
    ]:
        workflow = namespace.submit(steps(step)).fail()
        [pod] = nodes(workflow, "Pod", "mix")
        assert message in pod["message"], pod["message"]
        took.append(seconds(workflow))
    assert max(took) <= AT_ONCE, took
    return f"a wrong setting {took[0]:.0f} s, a missing input {took[1]:.0f} s"


# --- at the same time


def a_workflow_gives_input_and_output_and_nothing_else(make):
    for restricted in (False, True):
        namespace = make("ref", restricted=restricted)
        workflow = namespace.submit(steps(("mix", {"input": STEP_02, "output": output(namespace)})))
        ended = workflow.succeed()
        check_mix(ended, output(namespace), [2, 3])
        spec = workflow.pod(ended, "mix")["spec"]
        main = next(container for container in spec["containers"] if container["name"] == "main")
        assert main["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}, main["resources"]
        assert spec["activeDeadlineSeconds"] == 604800 and spec["serviceAccountName"] == "knowledge-mixing", spec
        for security in (spec["securityContext"], main["securityContext"]):
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(security), security


def a_workflow_is_made_of_the_templates_alone(make):
    """As the file itself says."""
    namespace = make("from", restricted=True)
    given = [f"-pinput={STEP_02}", f"-poutput={output(namespace)}", "-pcut-sizes=4"]
    source = "workflowtemplate/knowledge-mixing"
    name = run("argo", "-n", namespace.name, "submit", "--from", source, "-o", "name", *given).stdout.strip()
    check_mix(kube.Workflow(namespace, name).succeed(), output(namespace), [4])


def cpu_memory_and_deadline_are_inputs(make):
    namespace = make("inputs")
    small = namespace.submit(steps(mix(namespace, cpu="150m", memory="300Mi", deadline="4000")))
    late = namespace.submit(steps(mix(namespace, "late", deadline="1")))
    ended = small.succeed()
    spec = small.pod(ended, "mix")["spec"]
    main = next(container for container in spec["containers"] if container["name"] == "main")
    assert main["resources"] == {"requests": {"cpu": "150m", "memory": "300Mi"}, "limits": {"memory": "300Mi"}}, main["resources"]
    assert spec["activeDeadlineSeconds"] == 4000, spec
    ended = late.fail()
    assert len(nodes(ended, "Pod", "mix")) == 1 and "deadline" in messages(ended), messages(ended)


def an_empty_parameter_counts_as_not_given(make):
    namespace = make("empty", restricted=True)
    workflow = namespace.submit(steps(mix(namespace, **{"seed": "", "cut-sizes": "", "shuffle": "", "recipe": "", "fail-on": ""})))
    check_mix(workflow.succeed(), output(namespace), [2, 3])
    assert manifest(output(namespace))["settings"]["seed"] == 42
    workflow = namespace.submit("s3-to-s3.yaml", input=STEP_02, output=output(namespace, "cli"), seed="", recipe="")
    check_mix(workflow.succeed(), output(namespace, "cli"), [2, 3])
    # Except for these two: `--output "$UNSET"` must not write to the default.
    ended = namespace.submit(steps(("mix", {"input": STEP_02, "output": "", **SMALL}))).fail()
    assert "--output: empty value" in messages(ended), messages(ended)


def the_volume_example_on_a_volume_that_belongs_to_root(make):
    namespace = make("volume", restricted=True)
    volume = namespace.volume(fs_group=65532)
    parameters = {"tokenizer_model": "builtin", "cut_sizes": "2,3", "fs_group": "65532"}
    workflow = namespace.submit("pvc-to-pvc.yaml", input="step_02", output="step_03", **parameters).succeed()
    found = outputs(workflow, "mix-volume")
    assert found["dataset_uri"] == "/data/step_03/combined_cut_3x.jsonl", found
    assert found["total_samples"] == volume.shell("wc -l < /data/step_03/combined_cut_3x.jsonl").strip(), found


def any_user_of_group_0_on_a_volume(make):
    """As OpenShift starts pods: a user that the image does not know, and no fsGroup of ours."""
    namespace = make("uid", restricted=True)
    volume = namespace.volume()
    step = ("mix-volume", {"input": "step_02", "output": "step_03", **SMALL})
    patch = "securityContext: {runAsUser: 1000680000, runAsGroup: 0}"
    again = ("verify-volume", {"mix": "step_03", **SMALL})
    namespace.submit(steps(("plan-volume", {"input": "step_02", **SMALL}), step, again, podSpecPatch=patch)).succeed()
    modes = volume.modes("step_03")
    assert {owner for _, owner in modes.values()} == {"1000680000:0"}, modes


def files_are_never_writable_for_others(make):
    """Argo's executor sets umask 0: files get exactly the mode that the program asks for."""
    namespace = make("modes", restricted=True)
    volume = namespace.volume()
    patch = "securityContext: {runAsUser: 1000680000, runAsGroup: 0}"
    parts = {"input": "step_02", "output": "new/step_03", "formats": "messages,tokens", **SMALL}
    namespace.submit(steps(("mix-volume", parts), podSpecPatch=patch)).succeed()
    modes = {path: mode for path, (mode, _) in volume.modes("new").items()}
    wrong = {path: oct(mode) for path, mode in modes.items() if mode & 0o777 not in (0o664, 0o775) or mode & 0o002}
    assert len(modes) > 6 and not wrong, f"expected 0664 and 0775: {wrong}"


def a_long_recipe_needs_a_right_of_the_controller(make):
    """Argo puts arguments of more than 128 KiB into a ConfigMap, which its own role does not allow."""
    recipe = "# " + "x" * 160_000 + "\nseed: 7\n"
    without, with_right = make("no-right", restricted=True), make("right", restricted=True)
    readme = (ARGO / "README.md").read_text()
    commands = re.findall(r"^ +(kubectl -n \S+ create role(?:binding)? .*)$", readme, re.MULTILINE)
    assert len(commands) == 2, commands
    account = os.environ.get("KM_ARGO_ACCOUNT", "argo:argo")
    for command in commands:
        run(*command.replace("NAMESPACE", with_right.name).replace("argo:argo", account).split())
    refused = without.submit(steps(mix(without, recipe=recipe)))
    accepted = with_right.submit(steps(mix(with_right, recipe=recipe)))
    accepted.succeed()
    assert manifest(output(with_right))["settings"]["seed"] == 7
    ended = refused.fail()
    assert "configmaps is forbidden" in messages(ended), messages(ended)
    assert len(nodes(ended, "Pod", "mix")) == 1 and seconds(ended) <= AT_ONCE, messages(ended)


def the_token_stays_out_of_the_step_if_hardened(make):
    namespace = make("hardened", restricted=True, components=["hardened"])
    workflow = namespace.submit(steps(mix(namespace)))
    ended = workflow.succeed()
    check_mix(ended, output(namespace), [2, 3])
    pod = workflow.pod(ended, "mix")["spec"]
    mounts = {
        container["name"]: [mount["mountPath"] for mount in container["volumeMounts"]]
        for container in pod["containers"] + pod["initContainers"]
    }
    tokens = [name for name, paths in mounts.items() if "/var/run/secrets/kubernetes.io/serviceaccount" in paths]
    assert "main" not in tokens and "wait" in tokens, mounts


def report_summary_and_metrics_are_artifacts_if_wanted(make):
    namespace = make("artifacts", restricted=True, components=["artifacts"])
    namespace.secret("s3", {"access": os.environ["AWS_ACCESS_KEY_ID"], "secret": os.environ["AWS_SECRET_ACCESS_KEY"]})
    volume = namespace.volume(fs_group=65532)
    repository = {
        "bucket": BUCKET,
        "endpoint": kube.S3.split("://")[1],
        "insecure": kube.S3.startswith("http://"),
        "keyFormat": f"{namespace.name}/artifacts/{{{{workflow.name}}}}/{{{{pod.name}}}}",
        "accessKeySecret": {"name": "s3", "key": "access"},
        "secretKeySecret": {"name": "s3", "key": "secret"},
    }
    default = {"workflows.argoproj.io/default-artifact-repository": "ours"}
    metadata = {"name": "artifact-repositories", "annotations": default}
    namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ours": json.dumps({"s3": repository})}}
    )
    on_volume = {"input": "step_02", "output": "step_03", "fs-group": "65532", **SMALL}
    good = namespace.submit(steps(mix(namespace), ("mix-volume", on_volume)))
    bad = namespace.submit(steps(mix(namespace, "bad", seed="x")))
    ended = good.succeed()
    for template in ("mix", "mix-volume"):
        [node] = nodes(ended, "Pod", template)
        kept = {artifact["name"]: artifact.get("s3", {}).get("key") for artifact in node["outputs"]["artifacts"]}
        assert {"report", "summary", "metrics"} <= set(kept), kept
        texts = {name: read_object(f"s3://{BUCKET}/{kept[name]}") for name in ("report", "summary", "metrics")}
        assert b"<html" in texts["report"] and texts["summary"].startswith(b"# Knowledge mix"), texts["summary"][:100]
        assert json.loads(texts["metrics"])["largest_cut"] == 3
    assert json.loads(volume.shell("cat /data/step_03/metrics.json")) == json.loads(texts["metrics"])
    # A step that has failed keeps its own message.
    ended = bad.fail()
    assert "--seed: invalid value `x`" in messages(ended), messages(ended)


def one_template_for_all_namespaces(make):
    namespace = make("wide", overlay="argo-cluster-wide")
    workflow = steps(mix(namespace), ("verify", {"mix": output(namespace), **SMALL}))
    for [step] in workflow["spec"]["templates"][0]["steps"]:
        step["templateRef"]["clusterScope"] = True
    try:
        check_mix(namespace.submit(workflow).succeed(), output(namespace), [2, 3])
    finally:
        run("kubectl", "delete", "clusterworkflowtemplate", "knowledge-mixing")


def the_fan_out_example_runs_a_step_for_each_feasible_cut(make):
    namespace = make("fan-out", restricted=True)
    workflow = namespace.submit(
        "fan-out.yaml", input=STEP_02, output=output(namespace), tokenizer_model="builtin", cut_sizes="2,4,8,5000"
    ).succeed()
    check_mix(workflow, output(namespace), [2, 4, 8])
    datasets = [node["inputs"]["parameters"][0]["value"] for node in nodes(workflow, "Pod", "train")]
    assert sorted(datasets) == [f"{output(namespace)}/combined_cut_{cut}x.jsonl" for cut in (2, 4, 8)], datasets
    for dataset in datasets:
        read_object(dataset)


def the_cron_example_runs_on_its_schedule(make):
    namespace = make("cron", restricted=True)
    cron = example("cron.yaml")
    # What a user changes: the locations. And the schedule, so that the test does not wait for the night.
    cron["spec"]["schedules"] = ["* * * * *"]
    given = {"input": STEP_02, "output": output(namespace), "tokenizer-model": "builtin"}
    for parameter in cron["spec"]["workflowSpec"]["arguments"]["parameters"]:
        parameter["value"] = given.get(parameter["name"], parameter["value"])
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(cron, file)
        file.flush()
        run("argo", "-n", namespace.name, "cron", "create", file.name)
    label = "workflows.argoproj.io/cron-workflow=knowledge-mixing-nightly"
    end = time.monotonic() + 120
    while not (names := namespace.kubectl("get", "workflows", "-l", label, "-o", "name").stdout.split()):
        assert time.monotonic() < end, "no workflow was started within two minutes"
        time.sleep(2)
    check_mix(kube.Workflow(namespace, names[0].split("/")[1]).succeed(), output(namespace), [2, 3])
    namespace.kubectl("delete", "cronworkflow", "knowledge-mixing-nightly")


def a_plan_tells_what_a_mix_would_hold(make):
    namespace = make("plan", restricted=True)
    plan = {"input": STEP_02, "cut-sizes": "2,5000", **SMALL}
    workflow = namespace.submit(steps(("plan", plan), mix(namespace, **{"cut-sizes": "2,5000"}))).succeed()
    planned, mixed = outputs(workflow, "plan"), outputs(workflow, "mix")
    assert planned["feasible_cuts"] == "[2]" and int(planned["total_samples"]) > 0, planned
    del mixed["dataset_uri"]
    assert planned == mixed, (planned, mixed)


def verify_finds_a_changed_file(make):
    namespace = make("verify", restricted=True)
    namespace.submit(steps(mix(namespace))).succeed()
    bucket, key = f"{output(namespace)}/combined_cut_2x.jsonl".removeprefix("s3://").split("/", 1)
    kube.s3().put_object(Bucket=bucket, Key=key, Body=b"{}\n")
    ended = namespace.submit(steps(("verify", {"mix": output(namespace), **SMALL}))).fail()
    [pod] = nodes(ended, "Pod", "verify")
    assert pod["outputs"]["exitCode"] == "3" and "combined_cut_2x.jsonl" in pod["message"], pod


def a_store_that_is_down_is_tried_again(make):
    namespace = make("down", restricted=True)
    # Nothing listens there.
    namespace.secret("down", {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    workflow = namespace.submit(steps(mix(namespace, secret="down", **{"tokenizer-model": "builtin", "max-retries": "0"})))
    tried = workflow.wait_until("a second attempt", lambda ended: len(nodes(ended, "Pod", "mix")) == 2)
    first = nodes(tried, "Pod", "mix")[0]
    assert first["outputs"]["exitCode"] == "69", first
    run("argo", "-n", namespace.name, "terminate", workflow.name)


def the_lines_of_docs_engines_md_lead_to_a_mix(make):
    """From an empty cluster to a finished mix, each line as it is in the document."""
    text = (ROOT / "docs/engines.md").read_text()
    section = text[text.index("\n## Argo"):]
    lines = re.search(r"\n\n((?:    \S.*\n)+)", section)[1].splitlines()
    lines = [line.strip() for line in lines]
    assert len(lines) == 10, lines
    make("tuning", made_by_test=True)
    run("kubectl", "delete", "namespace", "tuning", "--ignore-not-found", "--timeout=60s")
    variables = {"BUCKET": BUCKET, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": kube.S3}
    with tempfile.TemporaryDirectory(prefix="km-stand-ins-") as folder:
        write_stand_ins(pathlib.Path(folder))
        environment = {**os.environ, **variables, "PATH": f"{folder}:{os.environ['PATH']}"}
        for line in lines:
            done = subprocess.run(["bash", "-euc", line], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Succeeded" in done.stdout, done.stdout
    assert manifest(f"s3://{BUCKET}/step_03")["state"] == "complete"
    return "stand-ins: Argo's installation is a dry run, the image is there already"


def write_stand_ins(folder) -> None:
    """Commands for the lines that prepare a cluster: this one has Argo and the image already.

    Argo's manifest is applied as a dry run; for a node that is made here, without a way out, it comes from Argo's Go module, and the
    controller is no deployment."""
    kubectl = shutil.which("kubectl")
    local = f"-k {os.environ['KM_ARGO_MANIFESTS']}/cluster-install" if os.environ.get("KM_ARGO_MANIFESTS") else '-f "${@: -1}"'
    scripts = {
        "docker": '[ "$*" = "build -t knowledge-mixing:0.1.0 ." ]',
        "kind": '[ "$*" = "load docker-image knowledge-mixing:0.1.0" ]',
        "kubectl": f"""case "$*" in
  "create namespace argo") exec {kubectl} create namespace argo --dry-run=client ;;
  "apply -n argo --server-side -f https://github.com/argoproj/argo-workflows/"*"/install.yaml")
    exec {kubectl} apply -n argo --server-side --force-conflicts --dry-run=server {local} ;;
  "wait -n argo deployment/workflow-controller "*) [ -n "${{KM_ARGO_MANIFESTS:-}}" ] || exec {kubectl} "$@" ;;
  *) exec {kubectl} "$@" ;;
esac""",
    }
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)


ALONE = [the_example_as_it_is_in_a_restricted_namespace, a_wrong_setting_ends_the_workflow_at_once]
# The long ones first.
TOGETHER = [
    the_cron_example_runs_on_its_schedule,
    a_store_that_is_down_is_tried_again,
    a_long_recipe_needs_a_right_of_the_controller,
    report_summary_and_metrics_are_artifacts_if_wanted,
    any_user_of_group_0_on_a_volume,
    the_fan_out_example_runs_a_step_for_each_feasible_cut,
    the_volume_example_on_a_volume_that_belongs_to_root,
    a_workflow_gives_input_and_output_and_nothing_else,
    a_workflow_is_made_of_the_templates_alone,
    cpu_memory_and_deadline_are_inputs,
    an_empty_parameter_counts_as_not_given,
    verify_finds_a_changed_file,
    a_plan_tells_what_a_mix_would_hold,
    one_template_for_all_namespaces,
    the_token_stays_out_of_the_step_if_hardened,
    the_lines_of_docs_engines_md_lead_to_a_mix,
    files_are_never_writable_for_others,
]
