#!/usr/bin/env python3
"""What puts the program on other machines: `pip install .`, `cargo install`, the workflow that makes a release, the commit that
`--version` shows, licenses and the SBOM.

    run_all.py
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = ["check_wheel.py", "check_crate.py", "check_release.py", "check_commit.py", "check_supply.py"]

codes = [subprocess.run([sys.executable, HERE / script]).returncode for script in CHECKS]
failed = sum(code != 0 for code in codes)
print(f"packages: {len(codes) - failed} passed, {failed} failed", flush=True)
sys.exit(1 if failed else 0)
