"""Makes carts.py importable from the tests of robots."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
