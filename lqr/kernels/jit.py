"""`@kernel`: numba's compiler with an on-disk cache that may be damaged, stale, unwritable or
strange without harm.

Kernels may fuse a multiplication and an addition, and nothing else: NaN and infinity keep their
meaning. A kernel is compiled anew when the content of any file of its folder, or of this one, has
changed; numba by itself watches only the date and the size of the kernel's own file. What the cache
holds runs as it stands, so its files carry digests, and a folder that anybody may write to is not
used.
"""

import contextlib
import hashlib
import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import cfunc, config, extending, njit, types
from numba.core.ccallback import CFunc
from numba.core.typing.templates import Signature

FLAT, COUNTS = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
part: Any = njit(fastmath={"contract"}, forceinline=True)  # a piece of a kernel, compiled into it
shared: Any = njit(fastmath={"contract"})  # a piece that is compiled once and called


def kernel(function: Callable[..., Any]) -> Any:
    """Returns the compiled function, cached on disk where a cache can be had, else compiled in this
    process only.
    """
    options: Any = {"fastmath": {"contract"}}
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to: neither beside the source nor in the home
        return njit(**options)(function)
    if not _private(Path(compiled._cache.cache_path)):
        return njit(**options)(function)
    _guard(compiled._cache, function)
    return compiled


def plain(function: Any) -> Any:
    """Returns the Python function that was compiled, or the function itself if it was not."""
    return getattr(function, "py_func", function)


class _Precise(Signature):
    """A signature that knows that its types are known: numba asks at each call, for three
    microseconds.
    """

    def is_precise(self) -> bool:
        return True

    def __unliteral__(self) -> "_Precise":
        return self


class Pointer:
    """A compiled function that a kernel takes as an argument without being compiled anew.

    Numba knows such functions itself, but looks up the type at each call, for ten microseconds.
    """

    def __init__(self, function: Any, signature: Any):
        known = _Precise(signature.return_type, signature.args, signature.recvr)
        self.function, self._numba_type_ = function, types.FunctionType(known)
        self.address = int(function.address)

    def __wrapper_address__(self) -> int:
        """Returns where the compiled function is (numba's protocol)."""
        return self.address


def pointer(
    function: Callable[..., Any], signature: Any, cached: bool = True, only_loaded: bool = False
) -> Pointer | None:
    """Returns the function compiled for a signature, from the cache on disk if `cached` and it can
    be had. If `only_loaded`, None where it is not there.
    """
    if cached:
        made: Any = CFunc(
            function, (signature.args, signature.return_type), {}, {"fastmath": {"contract"}}
        )
        with contextlib.suppress(RuntimeError):  # no folder to write to
            made.enable_caching()
            if _private(Path(made._cache.cache_path)):
                _guard(made._cache, function)
                context = made._targetdescr.target_context
                if only_loaded and made._cache.load_overload(made._sig, context) is None:
                    return None
                made.compile()
                return Pointer(made, signature)
    if only_loaded:
        return None
    return Pointer(cfunc(signature, fastmath={"contract"})(function), signature)


def at_address(signature: Any) -> Any:
    """Returns a function call(address, *arguments) for use in kernels: it calls what `pointer`
    compiled for the signature. A number as an argument costs nothing, a `Pointer` microseconds.
    """

    def call(typing: Any, address: Any, *arguments: Any) -> Any:
        def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
            kinds = [context.get_value_type(kind) for kind in signature.args]
            function = ir.FunctionType(context.get_value_type(signature.return_type), kinds)
            builder.call(builder.inttoptr(values[0], function.as_pointer()), values[1:])
            return context.get_dummy_value()

        return types.void(types.intp, *signature.args), code

    names = ["typing", "address", *(f"a{i}" for i in range(len(signature.args)))]
    named: Any = call
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    return extending.intrinsic(call)


def _guard(cache: Any, function: Callable[..., Any]) -> None:
    """Makes a cache forget what is stale or damaged, and go on where the disk refuses."""
    cache._cache_file._source_stamp = tuple(
        _stamp(folder)
        for folder in (Path(function.__code__.co_filename).parent, Path(__file__).parent)
    )
    folder, name = Path(cache.cache_path), Path(cache._cache_file._index_name).stem
    sums = folder / f"{name}.sums"
    load, save = cache.load_overload, cache.save_overload

    def load_or_forget(*arguments: Any) -> Any:
        try:
            with _locked(folder):
                if not _as_saved(folder, name, sums):
                    raise ValueError("its digests are others")
                return load(*arguments) if sums.exists() else None
        except Exception as error:
            warnings.warn(
                f"numba's cache of {function.__name__} is damaged ({error!r}); compiling anew",
                stacklevel=2,
            )
            with contextlib.suppress(OSError):
                for path in folder.glob(f"{name}*.nb?"):
                    path.unlink(missing_ok=True)
            return None

    def save_or_go_on(*arguments: Any) -> None:
        # a full or read-only disk costs time at the next start, and nothing else
        with contextlib.suppress(OSError), _locked(folder):
            save(*arguments)
            aside = folder / f"{name}.{os.getpid()}.tmp"
            aside.write_text(json.dumps(_digests(folder, name)))
            aside.replace(sums)

    cache.load_overload, cache.save_overload = load_or_forget, save_or_go_on


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from this folder's cache meanwhile; does without where that cannot
    be.
    """
    with contextlib.ExitStack() as at_the_end:
        with contextlib.suppress(ImportError, OSError):  # no such system call, or no folder yet
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            at_the_end.callback(os.close, handle)  # which unlocks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _as_saved(folder: Path, name: str, sums: Path) -> bool:
    """Returns whether the files are as they were saved."""
    if not sums.exists():  # nothing was saved, or by another version
        return True
    return _digests(folder, name) == json.loads(sums.read_text())


def _digests(folder: Path, name: str) -> dict[str, str]:
    """Returns the digest of each file that numba keeps for a function."""
    return {path.name: _digest(path) for path in sorted(folder.glob(f"{name}*.nb?"))}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache
def _stamp(folder: Path) -> tuple[tuple[str, str], ...]:
    """Returns what changes with any Python file of the folder."""
    return tuple((path.name, _digest(path)) for path in sorted(folder.glob("*.py")))


@lru_cache
def _private(folder: Path) -> bool:
    """Returns whether only its owner and group may write to a folder; else warns, as its content
    could be anybody's.
    """
    if not folder.stat().st_mode & 0o002:
        return True
    warnings.warn(
        f"anybody may write to {folder}: numba's cache is not used; chmod o-w it, or set NUMBA_CACHE_DIR",
        stacklevel=2,
    )
    return False
