"""The properties of test_numbers.py with many examples drawn anew."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path


def main(words):
    """Runs them and prints the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults numeric", description=__doc__)
    parser.add_argument("--examples", type=int, default=2000, help="of each property")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    tests = Path(__file__).with_name("test_numbers.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(tests),
        "-q",
        "--timeout=0",
        "--hypothesis-show-statistics",
    ]
    command.append(f"--hypothesis-seed={asked.seed}")
    environment = {**os.environ, "FAULTS_EXAMPLES": str(asked.examples)}
    done = subprocess.run(
        command, env=environment, cwd=tests.parents[2], capture_output=True, text=True
    )
    tried = [
        int(number)
        for number in re.findall(r"during generate phase.*?- (\d+) passing", done.stdout, re.DOTALL)
    ]
    found = re.findall(r"(\d+) passing, (\d+) failing", done.stdout)
    passing, failing = (sum(int(pair[i]) for pair in found) for i in (0, 1))
    print(f"{len(found) or len(tried)} properties, {passing} examples passed, {failing} failed")
    if done.returncode:
        print(done.stdout[-6000:])
    return done.returncode
