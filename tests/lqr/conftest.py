"""Makes the random problems, and the systems of the benchmarks, importable from the tests of this
folder.
"""

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parents[1] / "benchmarks")]
