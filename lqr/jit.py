"""`@kernel`: numba's compiler with an on-disk cache that may be damaged, stale or unwritable without harm.

Kernels may fuse a multiplication and an addition, and nothing else: NaN and infinity keep their meaning. A kernel is
compiled anew when any file of its folder has changed, because numba by itself watches only the file of the kernel.
"""

import contextlib
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba import cfunc, njit

part: Any = njit(fastmath={"contract"}, forceinline=True)  # a piece of a kernel, compiled into it
shared: Any = njit(fastmath={"contract"})  # a piece that is compiled once and called


@lru_cache
def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Returns what changes with any Python file of the folder."""
    files = sorted(folder.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def kernel(function: Callable[..., Any]) -> Any:
    """Returns the compiled function, cached on disk where a cache can be had, else compiled in this process only."""
    options: Any = {"fastmath": {"contract"}}
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to: neither beside the source nor in the home
        return njit(**options)(function)
    cache = compiled._cache
    cache._cache_file._source_stamp = _stamp(Path(function.__code__.co_filename).parent)
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


def pointer(function: Callable[..., Any], signature: Any, cached: bool = True) -> Any:
    """Returns a compiled pointer to the function, which a kernel takes as an argument without a new compilation."""
    make: Any = cfunc(signature, cache=cached, fastmath={"contract"})
    try:
        return make(function)
    except Exception:  # the cache is damaged, or has no folder: compile in this process only
        if not cached:
            raise
        return pointer(function, signature, cached=False)
