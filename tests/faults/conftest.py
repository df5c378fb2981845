"""Makes the harness of this folder importable from its tests, and keeps one parent of runs for all
of them.
"""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def parent():
    from harness import Parent

    with Parent() as process:
        yield process


@pytest.fixture
def place():
    from harness import workplace

    folder = workplace()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
