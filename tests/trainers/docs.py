"""The code blocks of docs/trainers.md, so that the tests run what a reader copies."""
import contextlib
import os
import re

import published


def blocks(heading, language):
    """The fenced blocks of one language below one heading; a test asks for what the page has."""
    page = (published.ROOT / "docs" / "trainers.md").read_text("utf-8")
    sections = re.split(r"^## (.+)\n", page, flags=re.M)
    section = dict(zip(sections[1::2], sections[2::2]))[heading]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.M | re.S)
    assert found, f"docs/trainers.md has no block of {language} below {heading}"
    return found


def mix(binary, folder, formats):
    """Writes what the page's paths name: `output/step_03/combined_cut_50x.*` in a folder, made of the examples."""
    flags = ["--infeasible-cuts", "keep", "--cut-sizes", "50", "--formats", formats, "--attention-mask"]
    return published.mix(binary, folder / "output" / "step_03", *flags)


@contextlib.contextmanager
def inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(code, folder, **names):
    """Runs a Python block in a folder; returns its names."""
    with inside(folder):
        exec(compile(code, "docs/trainers.md", "exec"), names)
    return names
