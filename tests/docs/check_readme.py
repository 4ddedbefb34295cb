#!/usr/bin/env python3
"""README.md: its example prints what it shows, its first command is what CI runs, its figures, links and pictures are those of docs/.

    check_readme.py BINARY [--update]

--update writes what the example prints to README.md.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", flags=re.M | re.S)
MAX_PICTURE = 150_000
# What differs from run to run, or with every change of the report.
VARYING = r"\d+\.\d+ s\b|\d+ bytes\b"


def printed(binary, commands, folder) -> str:
    """The console after these commands, run in a folder with the examples; standard error is not shown."""
    (folder / "bin").mkdir()
    (folder / "bin" / "knowledge-mixing").symlink_to(pathlib.Path(binary).resolve())
    (folder / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    shown = ""
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        shown += f"$ {command}\n{done.stdout}"
    return shown


def check_example(binary, page, update) -> str:
    (expected,) = CONSOLE.findall(page)
    commands = re.findall(r"^\$ (.+)$", expected, flags=re.M)
    with tempfile.TemporaryDirectory(prefix="km-readme-") as folder:
        shown = printed(binary, commands, pathlib.Path(folder))
    if re.sub(VARYING, "N", shown) != re.sub(VARYING, "N", expected):
        assert update, f"README.md shows\n{expected}\nbut the program prints\n{shown}\nTo take that over: check_readme.py BINARY --update"
        README.write_text(CONSOLE.sub(lambda _: shown, page), "utf-8")
    return f"{len(commands)} commands print what it shows"


def check_first_command(page) -> str:
    first, *others = re.findall(r"^    (\S.*)$", page, flags=re.M)
    assert f"\n{first}\n" in (ROOT / ".ci" / "run").read_text(), f".ci/run does not run the first command: {first}"
    assert "make test" in others
    return "CI runs its first command"


def check_figures(page) -> str:
    """What is measured stands in docs/benchmarks.md, unit included."""
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    (row,) = re.findall(r"^\| time, peak memory \|.+$", page, flags=re.M)
    figures = re.findall(r"[\d.]+ (?:s|MB)\b", row)
    missing = [figure for figure in figures if f"| {figure} |" not in benchmarks]
    assert figures and not missing, f"not in docs/benchmarks.md: {missing}"
    subprocess.run([sys.executable, ROOT / "bench" / "bars.py", "--check"], check=True, stdout=subprocess.DEVNULL)
    return f"{len(figures)} figures are those of docs/benchmarks.md, as is the chart"


def anchors(file) -> set:
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links() -> str:
    """Every link of README and docs/ to a file of the repository, and to a heading in it."""
    count = 0
    for page in [README, *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name) if name else page
            assert file.exists(), f"{page.name}: {target} not found"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}: no such heading"
            count += 1
    for picture in (ROOT / "docs").glob("*.png"):
        assert picture.stat().st_size < MAX_PICTURE, f"{picture.name}: {picture.stat().st_size} bytes, at most {MAX_PICTURE}"
    return f"{count} links of README and docs/ lead somewhere"


def check_exit_codes(binary) -> str:
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout.split("Exit codes:")[1]
    of_program = re.findall(r"^ +(\d+)  ", text, flags=re.M)
    of_page = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "commands.md").read_text("utf-8"), flags=re.M)
    assert of_program == of_page, f"exit codes: {of_program} in --help, {of_page} in docs/commands.md"
    return f"{len(of_page)} exit codes are those of --help"


def main(binary, *options) -> None:
    assert options in ((), ("--update",)), __doc__
    page = README.read_text("utf-8")
    said = [check_example(binary, page, bool(options)), check_first_command(page), check_figures(page), check_links(), check_exit_codes(binary)]
    print(f"ok     README: {'; '.join(said)}", flush=True)


main(*sys.argv[1:])
