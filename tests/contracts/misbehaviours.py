"""What functions of a user do that they should not: each makes a bad function of a good one."""

import os
import sys

import numpy as np


class Out(RuntimeError):
    """What a bad function raises."""


def leaves(change, value):
    """Returns the same tree of tuples, lists and dicts, with its arrays and numbers changed."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(leaves(change, part) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(leaves(change, part) for part in value)
    if isinstance(value, dict):
        return {key: leaves(change, part) for key, part in value.items()}
    if isinstance(value, np.ndarray | float | int | bool | np.generic):
        return change(np.asarray(value))
    return value


def writes(good):
    def bad(*given):
        found = leaves(np.array, good(*given))
        for a in given:
            if isinstance(a, np.ndarray):
                a[...] = 77.0
        return found

    return bad


def same_buffer(good):
    kept = {}

    def bad(*given):
        count = iter(range(100))

        def into(a):
            buffer = kept.setdefault((next(count), a.shape, a.dtype.str), a.copy())
            buffer[...] = a
            return buffer

        return leaves(into, good(*given))

    return bad


def turned(change):
    return lambda good: lambda *given: leaves(change, good(*given))


def does(act):
    def of(good):
        def bad(*given):
            act()
            return good(*given)

        return bad

    return of


def gives(what):
    return lambda good: lambda *given: what


def raising():
    raise Out("the cable\nis out")


def later(make):
    """The same, from the fourth call on."""

    def of(good):
        bad, calls = make(good), []

        def both(*given):
            calls.append(0)
            return (bad if len(calls) > 3 else good)(*given)

        return both

    return of


def total(value):
    found = []
    leaves(found.append, value)
    return float(sum(np.sum(a) for a in found))


def rounded(good):
    """The function that one of integers stands for."""

    def of(a):
        return a if a.dtype == bool else np.rint(a.astype(float))

    return lambda *given: leaves(of, good(*given))


HARMLESS = {  # what nobody may be refused for
    "writes to its input": writes,
    "returns the same buffer": same_buffer,
    "prints": does(lambda: print("hello")),
    "changes the working directory": does(lambda: os.chdir("/")),
}
KINDS = {  # right, or refused
    "float32": turned(lambda a: a.astype(np.float32)),
    "integers": turned(lambda a: np.rint(np.asarray(a, float)).astype(int)),
    "a list": turned(lambda a: a.tolist()),
    "a scalar": lambda good: lambda *given: total(good(*given)),
    "a 0-d array": lambda good: lambda *given: np.array(total(good(*given))),
}
WRONG = {  # refused, always by name
    "None": gives(None),
    "NaN": turned(lambda a: a * np.nan),
    "a word": gives("word"),
    "raises": does(raising),
    "calls sys.exit": does(lambda: sys.exit(0)),
}
LATER = {f"{word}, later": later(WRONG[word]) for word in ("None", "NaN", "raises")}
