"""Which settings a search tries, and between which ends.

    kl_step:1..50       numbers between two ends: by powers where both are above 0
    samples:2..8        whole numbers, where the setting is one
    prior:gmm,gp        words

Without a word of the user's own, every size of the method's own is searched, between a fifth and
five times its value: what costs episodes or time (counts) is left as it is, so that trials compare.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from agents.settings import positive, share
from lqr import InputError

from ..engine.flat import flat, hints, parts
from ..engine.registry import nearest

WIDTH = 5.0  # times a size, and its inverse


class Range(NamedTuple):
    """The values that one setting may take."""

    name: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    choices: tuple[Any, ...] = ()  # in place of numbers

    @property
    def text(self) -> str:
        """The range in words."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:.3g} to {self.high:.3g}"

    def holds(self, value: Any) -> bool:
        """Returns whether a value is one of the range."""
        return value in self.choices if self.choices else self.low <= value <= self.high

    def suggested(self, trial: Any) -> Any:
        """Returns the value that a trial of Optuna tries."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        powers = self.low > 0
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=powers)
        return trial.suggest_float(self.name, self.low, self.high, log=powers)


def usual(config: Any) -> list[Range]:
    """Returns the sizes of a method's own settings, with the ends that are usual."""
    found, kinds, known = [], hints(config), flat(config)
    own = [name for name in known if not any(name.startswith(f"{part}_") for part in parts(config))]
    for name in own:
        rules, value = get_args(kinds[name])[1:], known[name]
        if not isinstance(value, float) or value <= 0:
            continue
        if positive in rules:
            found.append(Range(name, value / WIDTH, value * WIDTH))
        elif share in rules:
            found.append(Range(name, value / WIDTH, min(value * WIDTH, 0.5 * (1 + value))))
    return found


def asked(words: Sequence[str], config: Any) -> list[Range]:
    """Returns the ranges that the words name. Raises InputError for a setting that there is not, and
    for ends that are none.
    """
    known = flat(config)
    return [_range(word, known) for word in words]


def _range(word: str, known: Mapping[str, Any]) -> Range:
    name, _, ends = word.partition(":")
    name = name.replace("-", "_")
    if name not in known:
        raise InputError(f"got --search {word}; {nearest(name, known)}")
    value = known[name]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if ".." in ends and number:
        low, high = (_number(end, word) for end in ends.split("..", 1))
        if low < high and not (isinstance(value, int) and (low % 1 or high % 1)):
            return Range(name, low, high, isinstance(value, int))
    elif ends and ".." not in ends:
        several = ends.split(",")
        if len(several) > 1:
            return Range(name, choices=tuple(_like(value, one, word) for one in several))
    raise InputError(
        f"got --search {word}; expected {name}:LOW..HIGH of numbers, the lower one first, or {name}:THIS,THAT"
    )


def _like(value: Any, text: str, word: str) -> Any:
    """Returns a word as a value of the setting's kind."""
    if isinstance(value, bool):
        if text.lower() not in ("true", "false"):
            raise InputError(f"got --search {word}; expected true or false, and not {text!r}")
        return text.lower() == "true"
    if isinstance(value, int):
        return int(_number(text, word))
    return _number(text, word) if isinstance(value, float) else text


def _number(text: str, word: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"got --search {word}; expected a number, and not {text!r}") from None
