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
    def annotation(each, output):
        if each["type"] not in PYTHON:
            return f"dsl.Output[dsl.{each['type']}]" if output else f"Optional[dsl.Input[dsl.{each['type']}]] = None"
        kind = PYTHON[each["type"]]
        return f"dsl.OutputPath({kind})" if output else f"Optional[{kind}] = None"

    every = [(each, True) for each in spec["outputs"]] + [(each, False) for each in spec["inputs"]]
    arguments = [f"    {each['name']}: {annotation(each, output)}," for each, output in every]
    documentation = []
    for each, _ in every:
        text = f"{each['name']}: {each['description'][0].upper()}{each['description'][1:]}."
        documentation += textwrap.wrap(text, 112, initial_indent=" " * 8, subsequent_indent=" " * 12)
    container = spec["implementation"]["container"]
    lines = [
        '"""Knowledge mixing as a container component.',
        "",
        "The same step as component.yaml, for repositories in which components are Python functions.",
        '"""',
        "",
        "from typing import Optional",
        "",
        "import kfp.compiler",
        "from kfp import dsl",
        "",
        f'IMAGE = "{container["image"]}"',
        "",
        "",
        "@dsl.container_component",
        "def knowledge_mixing(",
        *arguments,
        "):",
        f'    """{spec["description"]}.',
        "",
        "    All inputs are optional; an empty text counts as unset. Pass `datasets`, an artifact for each source, or",
        "    `input_uri`. The step parses the whole executor input, so no other placeholder is used.",
        "",
        "    Args:",
        *documentation,
        '    """',
        "    return dsl.ContainerSpec(",
        "        image=IMAGE,",
        "        command=[" + ", ".join(f'"{word}"' for word in container["command"]) + "],",
        '        args=["--executor-input", "{{$}}"],',
        "    )",
        "",
        "",
        'if __name__ == "__main__":',
        '    kfp.compiler.Compiler().compile(knowledge_mixing, __file__.replace(".py", "_component.yaml"))',
        "",
    ]
    return "\n".join(lines)


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
