#!/usr/bin/env python3
"""What a newcomer reads and runs: README, the notebook.

    run_all.py BINARY
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = ["check_readme.py", "check_notebook.py"]

codes = [subprocess.run([sys.executable, HERE / script, *sys.argv[1:]]).returncode for script in CHECKS]
failed = sum(code != 0 for code in codes)
print(f"docs: {len(codes) - failed} passed, {failed} failed", flush=True)
sys.exit(1 if failed else 0)
