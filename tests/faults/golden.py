"""Stores what today's code saves beside the tests, for tomorrow's code to load: `python -m
tests.faults golden`.

golden/format_N/ holds a tree of every kind of leaf, a policy of every kind, and the folder of a
stopped run of the toy; golden/newer/ a tree that says it is of a later format. What is there
already is left alone: old files are the point.
"""

import json
import shutil
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("golden")
TREE = {
    "whole": np.arange(6).reshape(2, 3),
    "real": np.array([0.1, -1e-300, 1e300]),
    "single": np.float32([0.1, 2.5]),
    "truth": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "inner": {"number": 3, "word": "ä / ö", "share": 0.1, "yes": True, "none": None},
}
META = {"about": "a golden file", "list": [1, 2.5, "three"]}


def policies():
    """Returns a policy of each kind, and where it is asked: {kind: (policy, arguments of act)}."""
    from agents.policies.convolutional import ConvolutionalPolicy
    from agents.policies.future import FuturePolicy
    from agents.policies.keypoints import KeypointPolicy
    from agents.policies.linear import LinearPolicy
    from agents.policies.linear_gaussian import ControllerPolicy
    from agents.policies.mlp import NeuralPolicy
    from agents.policies.mlp_std import StdPolicy
    from agents.policies.rbf import RBFPolicy
    from agents.policies.recurrent import RecurrentPolicy
    from agents.policies.squashed import SquashedPolicy
    from agents.policies.tabular import Grid, TabularPolicy
    from dynamics.vision.colours import raw_colours
    from lqr import LinearGaussianController

    rng, std = np.random.default_rng(0), np.array([0.5, 2.0])
    networks = {
        "mlp": NeuralPolicy.create(3, 2, (4,), std, rng),
        "mlp_std": StdPolicy.create(3, 2, (4,), std, rng),
        "recurrent": RecurrentPolicy.create(3, 2, (4, 3), std, rng),
        "convolutional": ConvolutionalPolicy.create(
            9 * 9 + 3, 2, (4,), std, rng, image=(9, 9, 1), maps=2
        ),
    }
    found = {}
    for kind, net in networks.items():
        net.weights[-1] = rng.normal(size=net.weights[-1].shape)
        found[kind] = net, (rng.normal(size=9 * 9 + 3 if kind == "convolutional" else 3),)
    controller = LinearGaussianController(
        rng.normal(size=(2, 5, 2, 3)),
        rng.normal(size=(2, 5, 2)),
        np.tile(0.1 * np.eye(2), (2, 5, 1, 1)),
    )
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 4.0])
    moments = np.array([[9.0] * 3, [0.1, 0.2, 0.3], [4.0, 5.0, 6.0]])
    linear = LinearPolicy(np.arange(6.0).reshape(2, 3) / 9, low, high, moments)
    found["linear"] = linear, (np.array([0.4, -0.2, 0.7]),)
    own = np.random.default_rng(1)  # others are drawn as before
    bumps = own.normal(size=(5, 4)), own.normal(size=(5, 2)), np.array([1.0, 0.7, 0.7, 2.0])
    found["rbf"] = RBFPolicy(*bumps, low, high, (1,)), (own.normal(size=3),)
    layers = [own.normal(size=(4, 3)), own.normal(size=(4, 4))], [own.normal(size=4)] * 2
    found["squashed"] = (
        SquashedPolicy(*layers, np.zeros(3), np.array([1.0, 2.0, 0.5]), low, high),
        (own.normal(size=3),),
    )
    grid = Grid(np.array([-1.0, 0.0]), np.array([1.0, 3.0]), np.array([2, 3]))
    table = own.uniform(low, high, (grid.cells, 2))
    found["tabular"] = TabularPolicy(grid, table, low, high), (np.array([0.3, 1.2]),)
    points = KeypointPolicy.create(81 + 3, 2, (4,), std, own, image=(9, 9, 1), points=2)
    points.layers.weights[-1] = own.normal(size=points.layers.weights[-1].shape)
    points.colours = raw_colours((9, 9, 1))
    found["keypoints"] = points, (own.uniform(size=84),)
    deep = [own.normal(size=(5, 5)), own.normal(size=(18, 5))], [np.ones(5), own.normal(size=18)]
    ways = np.array([[-1.0, 0.0], [1.0, 4.0]])
    found["future"] = (
        FuturePolicy(
            deep,
            np.zeros(3),
            np.ones(3),
            np.array([0.5, 1, 1]),
            np.array([1, -1.0]),
            ways,
            low,
            high,
        ),
        (own.normal(size=3),),
    )
    found["linear_gaussian"] = ControllerPolicy(controller), (rng.normal(size=3), 3, 1)
    return {**found, "mpc": (planner(rng), (np.array([0.3, -0.2]), 0))}


def planner(rng):
    """Returns MPC by random shooting, five steps ahead, in a network that has learned next to
    nothing.
    """
    from agents.mpc.steps.saving import TaskMPC
    from agents.planners import RandomShooting
    from agents.planners.models import LearnedModel
    from agents.tasks import make_task
    from dynamics import Network

    task, network = make_task("pendulum"), Network((4,), 20)
    x, u = rng.normal(size=(40, task.dx)), rng.normal(size=(40, task.du))
    network.fit(x, u, x + 0.1 * rng.normal(size=x.shape), rng)
    return TaskMPC(task, LearnedModel(network, "mean", 1), RandomShooting(8), "nn", 5)


def write(folder, name, make):
    """Makes one golden folder where it is missing."""
    if (folder / name).exists():
        return
    print(f"{folder.name}/{name}")
    make(folder / name)


def main(words):
    """Stores what is missing."""
    from fuzz import sign
    from harness import PLAIN, Parent, fresh, workplace

    from agents import save_policy
    from dynamics.storage.tree import FORMAT, save_tree

    folder = GOLDEN / f"format_{FORMAT}"
    write(folder, "tree", lambda path: save_tree(path, TREE, META))
    for kind, (policy, where) in policies().items():
        write(
            folder,
            f"policy_{kind}",
            lambda path, p=policy, w=where: save_policy(path, p, acts=p.act(*w).tolist()),
        )

    def stopped_run(path):
        place = workplace()
        with Parent() as parent:
            fresh(place)
            parent.run(place, [*PLAIN, "--fail-at", 4])
        shutil.copytree(
            place / "r", path, ignore=shutil.ignore_patterns("events.*", "run.lock", "config.json")
        )
        shutil.rmtree(place)

    def newer(path):
        save_tree(path, TREE, META)
        meta = json.loads((path / "meta.json").read_text())
        (path / "meta.json").write_text(json.dumps(meta | {"format": FORMAT + 1}))
        sign(path)

    write(folder, "run", stopped_run)
    write(GOLDEN, "newer", newer)
    return 0
