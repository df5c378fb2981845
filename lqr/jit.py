"""`@kernel`: numba's compiler with an on-disk cache that may be damaged, stale or unwritable without harm.

Kernels may fuse a multiplication and an addition, and nothing else: NaN and infinity keep their meaning.
"""

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import extending, njit

part: Any = njit(fastmath={"contract"}, forceinline=True)  # a piece of a kernel of the same file
intrinsic: Any = extending.intrinsic  # a function written in LLVM's own vectors


def kernel(function: Callable[..., Any]) -> Any:
    """Returns the compiled function, cached on disk where a cache can be had, else compiled in this process only."""
    options: Any = {"fastmath": {"contract"}}
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to: neither beside the source nor in the home
        return njit(**options)(function)
    cache = compiled._cache
    load = cache.load_overload

    def load_or_forget(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception as error:
            warnings.warn(f"numba's cache of {function.__name__} is damaged ({error!r}); compiling anew", stacklevel=2)
            for path in Path(cache.cache_path).glob(f"*.{function.__name__}-*.nb?"):
                path.unlink(missing_ok=True)
            return None

    save = cache.save_overload

    def save_or_go_on(*arguments: Any) -> None:
        with contextlib.suppress(OSError):  # a full or read-only disk costs time at the next start, and nothing else
            save(*arguments)

    cache.load_overload, cache.save_overload = load_or_forget, save_or_go_on
    return compiled
