"""Checks that the component compiles and has the interface of component.yaml."""

import pathlib
import sys

import yaml
from kfp import components

FOLDER = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

from component import knowledge_mixing, knowledge_mixing_lists  # noqa: E402


def interface(component):
    spec = component.component_spec
    inputs = {name: (each.type, each.optional, each.default) for name, each in (spec.inputs or {}).items()}
    return inputs, {name: each.type for name, each in (spec.outputs or {}).items()}


def test_it_has_the_interface_of_component_yaml():
    loaded = components.load_component_from_file(str(FOLDER.parents[4] / "component.yaml"))
    assert interface(knowledge_mixing) == interface(loaded)


def test_the_component_of_lists_differs_only_in_its_artifacts():
    single, lists = knowledge_mixing.component_spec, knowledge_mixing_lists.component_spec
    assert interface(knowledge_mixing) == interface(knowledge_mixing_lists)
    artifacts = {"datasets", "extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"}
    assert {name for name, each in lists.inputs.items() if each.is_artifact_list} == artifacts
    assert not any(each.is_artifact_list for each in single.inputs.values())
    assert lists.implementation.container == single.implementation.container


def test_it_runs_the_same_command_in_the_same_image():
    expected = yaml.safe_load((FOLDER.parents[4] / "component.yaml").read_text())["implementation"]["container"]
    actual = knowledge_mixing.component_spec.implementation.container
    assert actual.image == expected["image"]
    assert actual.command == expected["command"]
    assert actual.args == ["--executor-input", "{{$}}"]


def test_metadata_names_the_component():
    metadata = yaml.safe_load((FOLDER / "metadata.yaml").read_text())
    assert metadata["name"] == FOLDER.name
    assert metadata["stability"] in ("experimental", "alpha", "beta", "stable")
    assert {"dependencies", "lastVerified"} <= set(metadata)


def test_the_readme_names_every_input_and_output():
    readme = (FOLDER / "README.md").read_text()
    inputs, outputs = interface(knowledge_mixing)
    for name in [*inputs, *outputs]:
        assert f"| `{name}` |" in readme, name
