"""Each family has one table, one word per member, and a place in the docs where the word stands."""

from pathlib import Path

import pytest

from agents.planners import PLANNERS
from agents.policies import POLICIES
from agents.tasks import TASKS
from dynamics import MODELS, PRIORS
from dynamics.vision.encoders import ENCODERS
from experiments.engine.cli import parse
from experiments.engine.registry import methods

DOCS = Path(__file__).resolve().parents[1] / "docs"
FAMILIES = {  # page -> the words that it explains
    "dynamics.md": (*PRIORS, *MODELS),
    "planning.md": tuple(PLANNERS),
    "policies.md": tuple(POLICIES),
    "tasks.md": tuple(TASKS),
    "seeing.md": tuple(ENCODERS),
    "methods.md": tuple(methods()),
}
CHOICES = [  # a command that chooses each word of a table
    *(("lqr_flm", "--prior", word) for word in PRIORS),
    *(("mpc", "--model", word) for word in MODELS),
    *(("mpc", "--planner", word) for word in PLANNERS),
    *(
        ("badmm", "--policy", word)
        for word in ("mlp", "mlp_std", "recurrent", "convolutional", "keypoints")
    ),
    *(("badmm", "--filters", word) for word in ("none", "points", "poses")),
    *((word,) for word in methods()),
]


@pytest.mark.parametrize("page", FAMILIES)
def test_every_word_of_a_family_stands_on_its_page(page):
    text = (DOCS / page).read_text()
    assert not [word for word in FAMILIES[page] if f"`{word}`" not in text]


@pytest.mark.parametrize("words", CHOICES, ids=" ".join)
def test_every_word_can_be_chosen_on_the_command_line(words):
    request = parse([*words, "--task", "point_mass"], lambda path, experiment: (None, 0), str)
    assert request is not None
    assert request.options.task == "point_mass"
    if len(words) > 1:
        chosen = getattr(request.config, words[1].lstrip("-"))
        named = PLANNERS[words[2]] if words[1] == "--planner" else None
        assert type(chosen) is named if named else chosen == words[2]
