#!/usr/bin/env python3
"""The example workflows in Python, with Hera (requirements.txt): the same as the YAML files beside this one.

    workflows.py s3-to-s3|pvc-to-pvc|fan-out|cron | argo submit -     (the last one: argo cron create)

In a program of your own, `workflow.create()` submits one to the Argo server of its `workflows_service`.
"""

import sys

from hera.workflows import Container, CronWorkflow, Parameter, Step, Steps, Workflow
from hera.workflows import models as m

POD_GC = m.PodGC(strategy="OnPodSuccess")
TTL = m.TTLStrategy(seconds_after_success=86400, seconds_after_failure=604800)
BUCKET = {"input": "s3://bucket/step_02", "output": "s3://bucket/step_03"}
VOLUME = {"claim": "knowledge-tuning", "fs-group": ""}


def passed_on(names):
    """Parameters of a step that are those of the workflow."""
    return {name: f"{{{{workflow.parameters.{name}}}}}" for name in names}


def step(template, **parameters):
    """A step of one of our templates. In names of parameters, `_` stands for `-`."""
    arguments = {name.replace("_", "-"): value for name, value in parameters.items()}
    name = template.removesuffix("-volume")
    Step(name=name, template_ref=m.TemplateRef(name="knowledge-mixing", template=template), arguments=arguments)


def arguments(values):
    return [Parameter(name=name, value=value) for name, value in values.items()]


def s3_to_s3():
    given = BUCKET | {"tokenizer-model": "", "cut-sizes": "", "recipe": "", "seed": ""}
    with Workflow(
        generate_name="knowledge-mixing-s3-", entrypoint="mix-and-verify", pod_gc=POD_GC, ttl_strategy=TTL, arguments=arguments(given)
    ) as workflow:
        with Steps(name="mix-and-verify"):
            step("mix", **passed_on(given))
            step("verify", mix="{{workflow.parameters.output}}")
    return workflow


def pvc_to_pvc():
    given = VOLUME | {
        "input": "step_02", "output": "step_03", "tokenizer-model": "", "cut-sizes": "", "recipe": "", "seed": ""
    }
    with Workflow(
        generate_name="knowledge-mixing-pvc-", entrypoint="mix-and-verify", pod_gc=POD_GC, ttl_strategy=TTL, arguments=arguments(given)
    ) as workflow:
        with Steps(name="mix-and-verify"):
            step("mix-volume", **passed_on(given))
            step("verify-volume", **passed_on(VOLUME), mix="{{workflow.parameters.output}}")
    return workflow


def fan_out():
    given = BUCKET | {"tokenizer-model": "", "cut-sizes": "5,10,50"}
    no_rights = m.SecurityContext(allow_privilege_escalation=False, capabilities=m.Capabilities(drop=["ALL"]))
    patch = "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
    with Workflow(
        generate_name="knowledge-mixing-fan-out-",
        entrypoint="mix-and-train",
        service_account_name="knowledge-mixing",
        pod_gc=POD_GC,
        ttl_strategy=TTL,
        arguments=arguments(given),
    ) as workflow:
        train = Container(
            name="train",
            inputs=[Parameter(name="dataset")],
            image="busybox:1.37",
            command=["echo"],
            args=["training on {{inputs.parameters.dataset}}"],
            security_context=no_rights,
            pod_security_context=m.PodSecurityContext(
                run_as_non_root=True, run_as_user=65532, seccomp_profile=m.SeccompProfile(type="RuntimeDefault")
            ),
            pod_spec_patch=(
                f"initContainers:\n  - {{name: init, securityContext: {patch}}}\n"
                f"containers:\n  - {{name: wait, securityContext: {patch}}}\n"
            ),
        )
        with Steps(name="mix-and-train"):
            step("mix", **passed_on(given))
            train(
                with_param="{{steps.mix.outputs.parameters.feasible_cuts}}",
                arguments={"dataset": "{{workflow.parameters.output}}/combined_cut_{{item}}x.jsonl"},
            )
    return workflow


def cron():
    given = BUCKET | {"tokenizer-model": "", "cut-sizes": ""}
    with CronWorkflow(
        name="knowledge-mixing-nightly",
        schedules=["0 2 * * *"],
        timezone="Etc/UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=3600,
        successful_jobs_history_limit=3,
        failed_jobs_history_limit=7,
        entrypoint="nightly",
        pod_gc=POD_GC,
        arguments=arguments(given),
    ) as workflow:
        with Steps(name="nightly"):
            step("mix", **passed_on(given))
    return workflow


WORKFLOWS = {"s3-to-s3": s3_to_s3, "pvc-to-pvc": pvc_to_pvc, "fan-out": fan_out, "cron": cron}

if __name__ == "__main__":
    print(WORKFLOWS[sys.argv[1]]().to_yaml(), end="")
