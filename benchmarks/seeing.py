# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""How well encoders see: `python -m benchmarks.seeing read_out --seeds 5`.

`read_out`: pictures of the reaching arm at random angles, each with a target of its own; encoders
learn from 3000 of them, and a linear read-out of their codes tells where tip, elbow and target are
in 1000 others (root mean square of the distance). Labels are used for the read-out alone, but for
`poses`. `policies`: `reacher_images`, taught on 40 targets and judged on 40 others, beside the same
where the policy sees the state. `control`: local controllers whose goals are pictures. `kept`: what
codes keep of drawn worlds.
"""

import argparse
import os
import time
from dataclasses import replace
from functools import cache
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from agents.rollout import rollout
from agents.tasks.mujoco.reacher import Reacher, ReacherFour
from agents.tasks.wrappers.partial import ReacherImages
from agents.tasks.wrappers.reacher_points import reacher_points
from dynamics.vision.encoder import Clips
from dynamics.vision.encoders import make_encoder
from dynamics.vision.judgement import (
    explained,
    neighbours_error,
    r_squared,
    read_out,
    spread,
    untrained,
)
from experiments.configs import reacher_images, reacher_points_local

from .drawn import driven, navigation, pendulum

Array = np.ndarray
TRAIN, TEST = 3000, 1000  # pictures
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "points": ("points", {}),
    "raw colours": ("points", {"whiten": False, "rare": False}),
    "whitened, all colours alike": ("points", {"rare": False}),
    "8 points": ("points", {"points": 8}),
    "autoencoder": ("autoencoder", {"slow": 0.0}),
    "poses": ("poses", {}),
    "poses, raw colours": ("poses", {"whiten": False}),
}

STATE = {"policy": "mlp", "filters": "none", "fixed_filters": False}
POLICIES: dict[str, dict[str, Any]] = {  # what differs from the experiment reacher_images
    "poses, fixed": {},
    "poses": {"fixed_filters": False},
    "points, fixed": {"filters": "points"},
    "points": {"filters": "points", "fixed_filters": False},
    "none": {"filters": "none", "fixed_filters": False},
    "state": STATE,
}
CONTROL: dict[str, dict[str, Any] | None] = {  # settings of reacher_points
    "points": {},
    "true coordinates": None,
    "random points": {"learned": False},
    "codes and rates, no joints": {"keep": False, "memory": "moving"},
    "log": {"cost": "log"},
    "exp": {"cost": "exp"},
}

SCENES = {"driven": driven, "navigation": navigation, "pendulum": pendulum}
KEPT: dict[str, tuple[str, str, dict[str, Any]]] = {  # name -> world, encoder, its settings
    "inverse": ("driven", "inverse", {}),
    "inverse_k": ("driven", "inverse_k", {}),
    "autoencoder": ("driven", "autoencoder", {"slow": 0.0}),
    "points": ("driven", "points", {}),
    "priors": ("navigation", "priors", {}),
    "one point": ("navigation", "points", {"points": 1}),
    "autoencoder, one point": ("navigation", "autoencoder", {"points": 1, "slow": 0.0}),
    "pve": ("pendulum", "pve", {"d": 1}),
}


def errors(codes: Array, labels: Array) -> Array:
    """Returns the errors (mm) of tip, elbow and target, read from codes of all pictures."""
    reading = read_out(codes[:TRAIN], labels[:TRAIN])
    gap = (reading(codes[TRAIN:]) - labels[TRAIN:]).reshape(TEST, -1, 2)
    return 1000 * np.sqrt((gap**2).sum(-1).mean(0))


@cache
def learned(name: str, seed: int) -> Any:
    """Returns an encoder that has learned, what it learned from and is judged by, the errors before
    that, and CPU s.
    """
    word, settings = ENCODERS[name]
    rng = np.random.default_rng(seed)
    views = ReacherImages(1).views(TRAIN + TEST, rng)
    clips = Clips(views.pictures[:TRAIN, None], labels=views.labels[:TRAIN, None])
    encoder = make_encoder(word, views.pictures.shape[1:], **settings)
    first = errors(untrained(encoder, clips, rng)(views.pictures), views.labels)
    begun = time.process_time()
    encoder.fit(clips, rng)
    return encoder, views, first, time.process_time() - begun


def row(name: str, seed: int) -> str:
    """Returns what an encoder comes to, in a line."""
    encoder, views, first, took = learned(name, seed)
    codes, test = encoder(views.pictures), views.pictures[TRAIN:]
    told = errors(codes, views.labels)
    line = f"{name:28} {seed:4} " + " ".join(f"{e:6.1f}" for e in told)
    line += "  " + " ".join(f"{e:4.0f}" for e in first)
    if ENCODERS[name][0] == "poses":
        line += f"{'':31}"
    else:
        e = explained(encoder, test)
        line += f"  {e.plain:5.2f} {e.weighted:5.2f}  " + " ".join(f"{c:.2f}" for c in e.by_colour)
    near = neighbours_error(codes[TRAIN:], views.labels[TRAIN:])
    return f"{line}  {spread(codes)[1]:5.1f}  {near:5.2f}  {took:5.1f}"


def policies(name: str, seed: int) -> str:
    """Returns what a policy that was taught on 40 targets costs, and where it ends, on 40 others."""
    settings = POLICIES[name]
    config = replace(reacher_images.config, **settings)
    task = reacher_images.task() if config.policy == "keypoints" else Reacher(covering=True)
    seen = isinstance(task, ReacherImages)
    test = task.held_out() if seen else Reacher(40, layout_seed=99)
    begun = time.process_time()
    for step in reacher_images.method.train(task, config, np.random.default_rng(seed)):
        last = step
    took = time.process_time() - begun
    told = []
    for world, rng in ((task, np.random.default_rng(0)), (test, np.random.default_rng(0))):
        shown = rollout(world, last.policy, np.arange(40), 1, rng, noise=0.0)
        far = 1000 * world.metrics(shown.x, shown.u)["distance"]
        told += [shown.costs.mean(), far.mean(), np.median(far), (far < 20).mean()]
    own, held = told[:4], told[4:]
    return (
        f"{name:28} {seed:4}  {own[0]:6.2f} {own[1]:5.0f}  {held[0]:6.2f} {held[1]:5.0f} {held[2]:5.0f} "
        f"{held[3]:5.2f}  {took:6.0f}"
    )


def control(name: str, seed: int) -> str:
    """Returns how far from the four goals, given as pictures, local controllers end."""
    rng = np.random.default_rng(seed)
    begun = time.process_time()
    settings = CONTROL[name]
    if settings is None:
        task: Any = ReacherFour()
    elif settings.get("learned", True):
        task = reacher_points(learned("points", seed)[0], seed=seed, **settings)
    else:
        task = reacher_points(seed=seed, **settings)
    middle = time.process_time()
    config = reacher_points_local.config
    for step in reacher_points_local.method.train(task, config, rng):
        last = step
    took = time.process_time()
    shown = rollout(task, last.policy, np.arange(4), 1, np.random.default_rng(0), noise=0.0)
    far = 1000 * task.metrics(shown.x, shown.u)["distance"]
    return (
        f"{name:28} {seed:4}  "
        + " ".join(f"{d:6.1f}" for d in far)
        + f"  {far.mean():6.1f}  {middle - begun:5.0f} {took - middle:5.0f}"
    )


def kept(name: str, seed: int) -> str:
    """Returns what codes tell of what is driven, and of what moves by itself, or of a place, or of
    speeds: shares of variance in clips that were not learned from.
    """
    world, word, settings = KEPT[name]
    rng = np.random.default_rng(seed)
    clips, test = (SCENES[world](count, 16, rng) for count in (250, 80))
    encoder = make_encoder(word, clips.pictures.shape[2:], **settings)
    begun = time.process_time()
    encoder.fit(clips, rng)
    took = time.process_time() - begun
    codes, labels = encoder(test.pictures), flat(test.labels)
    share = r_squared(
        read_out(flat(encoder(clips.pictures)), flat(clips.labels))(flat(codes)), labels
    )
    told = [share[i : i + 2].mean() for i in range(0, len(share), 2)]
    if world == "pendulum":
        speed, rate = np.linalg.norm(np.diff(codes, axis=1), axis=2), np.abs(test.labels[:, 1:, 1])
        told = [share[0], np.corrcoef(speed.ravel(), rate.ravel())[0, 1]]
    line = f"{world:12} {name:20} {seed:4}  " + " ".join(f"{t:6.3f}" for t in told)
    return f"{line}  {neighbours_error(flat(codes), labels):6.3f}  {took:5.1f}"


def flat(a: Any) -> Array:
    """Returns (N, T, ...) as (NT, ...)."""
    return a.reshape(-1, *a.shape[2:])


KINDS = {  # word -> what it is about, its members, those of the row that must hold, its columns
    "read_out": (
        row,
        ENCODERS,
        ["points", "raw colours"],
        "tip, elbow, target mm; the same untrained; explained plain, weighted, by colour; "
        "dimension; neighbours; CPU s",
    ),
    "policies": (
        policies,
        POLICIES,
        ["poses, fixed", "state"],
        "own targets: cost, mm; 40 others: cost, mean mm, median mm, within 20 mm; CPU s",
    ),
    "kept": (
        kept,
        KEPT,
        list(KEPT),
        "share told of what is driven, of what wanders (or of the place; or of the angle, "
        "correlation of speeds); neighbours; CPU s",
    ),
    "control": (
        control,
        CONTROL,
        ["points", "true coordinates"],
        "mm to each goal; mean; CPU s of encoder and training",
    ),
}


def main() -> None:
    """Prints a line for each variant and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", choices=list(KINDS), help="one after the other, by seed")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ...")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="+", help="these variants, or `all`")
    options = parser.parse_args()
    for what in options.what:
        _, members, usual, columns = KINDS[what]
        names = chosen(options.only, members, usual, parser)
        print(f"{what}: {', '.join(names)}; seed; {columns}")
    for seed in range(options.first, options.first + options.seeds):
        for what in options.what:
            told, members, usual, _ = KINDS[what]
            for name in chosen(options.only, members, usual, parser):
                print(told(name, seed), flush=True)
        learned.cache_clear()


def chosen(only: Any, members: Any, usual: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """Returns the names that are asked for."""
    names = list(members) if only == ["all"] else only or usual
    if unknown := [name for name in names if name not in members]:
        parser.error(f"got {', '.join(unknown)}; expected some of {', '.join(members)}")
    return names


if __name__ == "__main__":
    main()
