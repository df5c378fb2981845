"""What MuJoCo warns of, counted; by itself it would write MUJOCO_LOG.TXT where the user stands."""

import re
import sys
from collections import Counter

MOST = 20  # different warnings that are told apart

WARNED: Counter[str] = Counter()
"""How often this process was warned of what, from `heed` on."""


def heed(load: bool = True) -> None:
    """Counts MuJoCo's warnings from here on; without `load`, only where MuJoCo is loaded already."""
    if load or "mujoco" in sys.modules:
        import mujoco

        mujoco.set_mju_user_warning(_count)


def _count(message: str) -> None:
    said = " ".join(re.sub(r"Time = \S+", "", message).split())
    WARNED[said if said in WARNED or len(WARNED) < MOST else "others"] += 1
