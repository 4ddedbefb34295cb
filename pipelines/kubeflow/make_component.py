#!/usr/bin/env python3
"""Generates component.py and README.md of the component folder from the component.yaml of this release.

    make_component.py            # writes both
    make_component.py --check    # fails if they are stale
"""

import pathlib
import sys
import textwrap

import yaml

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "components" / "data_processing" / "knowledge_mixing"
PYTHON = {"String": "str", "Boolean": "bool", "Integer": "int", "JsonArray": "list"}


def component(spec: dict) -> str:
    """component.py: the step with single artifacts, and the step with lists of them."""
    container = spec["implementation"]["container"]
    lines = [
        '"""Knowledge mixing as a container component.',
        "",
        "The same step as component.yaml, for repositories in which components are Python functions.",
        '"""',
        "",
        "from typing import List, Optional",
        "",
        "import kfp.compiler",
        "from kfp import dsl",
        "",
        f'IMAGE = "{container["image"]}"',
        "COMMAND = [" + ", ".join(f'"{word}"' for word in container["command"]) + "]",
        "",
        *function("knowledge_mixing", spec, documentation(spec), has_lists=False),
        *function(
            "knowledge_mixing_lists",
            spec,
            [
                "    Takes a list of artifacts for each source and for `datasets`, as `dsl.Collected` gathers them from a loop. Their order",
                "    means nothing. All else is as in `knowledge_mixing`.",
            ],
            has_lists=True,
        ),
        "",
        'if __name__ == "__main__":',
        '    kfp.compiler.Compiler().compile(knowledge_mixing, __file__.replace(".py", "_component.yaml"))',
        "",
    ]
    return "\n".join(lines)


def documentation(spec: dict) -> list:
    """The lines of the docstring that describe all inputs and outputs."""
    lines = [
        "    All inputs are optional; an empty text counts as unset. Pass `datasets`, an artifact for each source, or",
        "    `input_uri`. The step parses the whole executor input, so no other placeholder is used.",
        "",
        "    Args:",
    ]
    for each in [*spec["outputs"], *spec["inputs"]]:
        text = f"{each['name']}: {each['description'][0].upper()}{each['description'][1:]}."
        lines += textwrap.wrap(text, 112, initial_indent=" " * 8, subsequent_indent=" " * 12)
    return lines


def function(name: str, spec: dict, description: list, *, has_lists: bool) -> list:
    """The lines of a component function, after an empty line."""

    def annotation(each, output):
        if each["type"] not in PYTHON:
            kind = f"dsl.{each['type']}"
            if output:
                return f"dsl.Output[{kind}]"
            return f"Optional[dsl.Input[{f'List[{kind}]' if has_lists else kind}]] = None"
        kind = PYTHON[each["type"]]
        return f"dsl.OutputPath({kind})" if output else f"Optional[{kind}] = None"

    every = [(each, True) for each in spec["outputs"]] + [(each, False) for each in spec["inputs"]]
    return [
        "",
        "@dsl.container_component",
        f"def {name}(",
        *[f"    {each['name']}: {annotation(each, output)}," for each, output in every],
        "):",
        f'    """{spec["description"]}.',
        "",
        *description,
        '    """',
        '    args = ["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]',
        "    return dsl.ContainerSpec(image=IMAGE, command=COMMAND, args=args)",
        "",
    ]


def readme(spec: dict) -> str:
    def table(rows):
        return ["| Name | Type | Description |", "|---|---|---|"] + [
            f"| `{each['name']}` | {each['type']} | {each['description']} |" for each in rows
        ]

    lines = [
        "# Knowledge Mixing",
        "",
        "Mixes the question-answer data of generation steps into training files: one seeded sample of summaries per cut size,",
        "as chats, with exact token counts, a manifest and a report.",
        "",
        "## Inputs",
        "",
        "All inputs are optional; an empty text counts as unset. Pass `datasets`, an artifact for each source, or `input_uri`.",
        "",
        *table(spec["inputs"]),
        "",
        "## Outputs",
        "",
        *table(spec["outputs"]),
        "",
        "## Usage",
        "",
        "```python",
        "from components.data_processing.knowledge_mixing import knowledge_mixing",
        "",
        'mixed = knowledge_mixing(input_uri="s3://bucket/step_02", cut_sizes="5,50")',
        "mixed.set_caching_options(False)  # Kubeflow does not notice that the data behind a URL have changed",
        'train_model(dataset=mixed.outputs["dataset"])',
        "```",
        "",
        "## Tests",
        "",
        "`pytest tests/`: the unit tests only need the SDK; the local test also needs Docker and the image.",
        "",
    ]
    return "\n".join(lines)


def main(check: bool) -> None:
    spec = yaml.safe_load((HERE.parents[1] / "component.yaml").read_text())
    for name, text in [("component.py", component(spec)), ("README.md", readme(spec))]:
        path = FOLDER / name
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{path} is stale: run {__file__}")


if __name__ == "__main__":
    main(check=sys.argv[1:] == ["--check"])
