"""A parser of words whose errors are one line, as everywhere else."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lqr import InputError


class HelpShown(Exception):
    """The help was asked for, and is on the standard output: there is nothing more to do."""


class Parser(argparse.ArgumentParser):
    """argparse with its help as it stands, and an InputError where it would print its usage and
    exit.
    """

    def __init__(self, prog: str, description: str | None):
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=argparse.RawTextHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Returns what the words say; paths are absolute, as a module of the user's own may go to
        another folder when it is imported.
        """
        found, rest = super().parse_known_args(args, namespace)
        for name, value in list(vars(found).items()):
            if isinstance(value, Path):
                setattr(found, name, Path.cwd() / value)
            elif isinstance(value, float) and not math.isfinite(value):
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} is {value}; expected a finite number")
            elif isinstance(value, list) and all(isinstance(one, Path) for one in value):
                setattr(found, name, [Path.cwd() / one for one in value])
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raises InputError."""
        raise InputError(f"{message}; expected what {self.prog} --help shows")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raises HelpShown."""
        raise HelpShown(message or "")
