"""After the last iteration: the policy, its evaluation, the pictures and the page that shows it
all.
"""

import json
import shlex
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.mpc.steps.model_evaluation import oracle, plans_in_a_model
from agents.saving import build_policy, save_policy
from agents.tasks.base.mujoco_warnings import WARNED
from agents.tasks.capabilities import HeldOut, Named, capability, env_id_of
from dynamics.storage.files import write_file
from lqr import CheckpointError, GPSError

from ..engine.cli import as_words, program
from ..engine.evaluation import (
    evaluate_held_out,
    evaluate_idle,
    evaluate_in_task,
    evaluate_policy,
    evaluate_random,
    evaluation_count,
)
from ..engine.gains import gains
from ..engine.overrides import imports
from ..engine.progress import clock, places, table
from ..engine.run_folder import RunFolder
from ..engine.saved_files import RESULT, saved_config
from ..engine.signals import Stop
from ..engine.summary import held_out_rows, oracle_rows, summarise, verdict
from ..engine.symptoms import watch
from ..engine.verification import sealed
from ..viewer import video
from . import figures, run_report

ORACLE_STEPS = (
    2_000_000  # steps of the ground-truth dynamics that a plan of an episode in it may take
)


def finalise(task: Any, folder: RunFolder, stop: Stop) -> None:
    """Makes what a finished run leaves, out of its last checkpoint; returns early where a signal
    asks to stop.
    """
    path, about = folder.path, saved_config(folder.path)
    checkpoint = folder.newest()
    if checkpoint is None:
        raise CheckpointError(f"{path}: got a run without an iteration; expected one or more")
    policy = build_policy(checkpoint.tree.get("policy"), path, task)
    save_policy(
        path / "policy", policy, experiment=about["experiment"], task=task.name, seed=about["seed"]
    )
    start = time.perf_counter()
    kept = ("seconds", "saving", "exact")
    result: dict[str, Any] = {
        **{key: checkpoint.meta[key] for key in kept},
        **summarise(path, about.get("actor")),
    }
    result["exact_resume"] = result.pop(
        "exact"
    )  # False: a part of the run was on a machine that rounds otherwise
    result["input"] = getattr(policy, "input", "o")  # observations o, or the state x
    if named := capability(task, Named):
        result["state_names"] = list(named.state_names)
        result["action_names"] = list(named.action_names)
    global_policy = result["input"] == "o"  # local controllers know their own conditions only
    env_id = env_id_of(task)
    if env_id and not global_policy and not stop.asked:  # they act in the task alone
        print(f"evaluating in {env_id}, from the run's own starts ...", flush=True)
        found = evaluate_in_task(task, policy)
        result |= {"env_id": env_id} | {name: own._asdict() for name, own in found.items()}
    if env_id and global_policy and not stop.asked:
        print(f"evaluating the policy in {env_id} ...", flush=True)
        result |= {
            "env_id": env_id,
            "evaluation": evaluate_policy(env_id, policy)._asdict(),
            "random": evaluate_random(env_id)._asdict(),
        }
        result["idle"] = evaluate_idle(env_id)._asdict()
    if global_policy and capability(task, HeldOut):
        result["held_out"] = evaluate_held_out(task, policy)
    asked = about["chosen"].get("evaluation_episodes") or 0
    result["evaluation_episodes"] = {
        "of_the_method": int(result["figures"].pop("evaluation episodes", 0)),
        "after_iterations": result["iterations"] * evaluation_count(task, policy, asked),
        "at_the_end": int(
            sum(result[k]["episodes"] for k in ("evaluation", "random", "idle") if k in result)
            + result.get("held_out", {}).get("conditions", 0)
        ),
    }
    skipped = []
    if names := checkpoint.meta.get("not_drawn"):
        skipped.append(f"not drawn, as no figure knows these arrays: {', '.join(map(str, names))}")
    if not stop.asked and plans_in_a_model(policy):
        print("planning an episode in the ground-truth dynamics ...", flush=True)
        try:
            result["oracle"] = oracle(
                task, policy, np.random.default_rng(0), ORACLE_STEPS
            )._asdict()
        except GPSError as error:
            skipped.append(f"no oracle: {error}")
    if "evaluation" in result:
        result["gains"] = gains(result)
    result["verdict"] = verdict(result)
    returns = None
    if "evaluation" in result:
        returns = result["evaluation"]["mean_return"], result["idle"]["mean_return"]
    if told := getattr(sys.modules[about["method"]], "told", None):
        result["told"] = told(checkpoint.tree["state"])
    result["symptoms"] = [
        symptom._asdict() for symptom in watch.of_folder(path, about, task, returns)
    ]
    top = result.get("oracle", {}).get("true")
    for make in (
        lambda: _draw(path, task, top, about.get("actor")),
        lambda: video.make_apart(path, task, lambda: stop.asked),
    ):
        if not stop.asked and (reason := make()):
            skipped.append(reason)
            warnings.warn(reason, stacklevel=2)
    result["mujoco_warnings"] = dict(WARNED)
    result |= {"skipped": skipped, "finish_seconds": time.perf_counter() - start}
    if stop.asked:
        return
    folder.tidy()
    write_file(path / "report.html", run_report.page(path, about, result).encode())
    write_file(path / RESULT, json.dumps(sealed(path, result), indent=1, allow_nan=False).encode())
    show(path, about, result)


def _draw(path: Path, task: Any, oracle: float | None, actor: Any) -> str | None:
    """Draws the figures; a library that cannot draw costs the pictures and not the run. Raises what
    the disk raises.
    """
    try:
        return figures.draw(path, task, oracle, actor)
    except (GPSError, OSError):
        raise
    except Exception as error:
        return f"figures skipped: {type(error).__name__}: {error}"


def show(path: Path, about: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Prints the final table."""
    rows = [("result", result["verdict"])]
    if "evaluation" in result:
        got = result["evaluation"]
        text = f"return {got['mean_return']:.2f}"
        if got["episodes"] > 1:
            text += f" ± {got['standard_error']:.2f} (standard error), {got['episodes']} episodes"
        rows.append((result["env_id"], text if got["episodes"] > 1 else f"{text}, one episode"))
        if got["final_distance"] is not None:
            rows.append(("final distance", f"{got['final_distance']:.4f} m, mean of the episodes"))
    rows += held_out_rows(result) + oracle_rows(result)
    rows += [
        (name, f"{value:.0f}" if value == int(value) else f"{value:.4g}")
        for name, value in result["figures"].items()
    ]
    looked = result["evaluation_episodes"]
    beside = sum(looked.values())
    rows.append(
        (
            "evaluation",
            f"{beside} more episodes, not learned from: {looked['of_the_method']} in the training, "
            f"{looked['after_iterations']} after its iterations, {looked['at_the_end']} at the end",
        )
    )
    times = f"{clock(result['seconds'])} training, {clock(result['finish_seconds'])} evaluating and pictures"
    rows += [
        (
            "time",
            f"{times}; {100 * result['saving'] / max(result['seconds'], 1e-9):.1f} % in checkpoints",
        )
    ]
    rows += [
        ("MuJoCo warned", f"{count} times: {said}")
        for said, count in result["mujoco_warnings"].items()
    ]
    rows += [("skipped", reason) for reason in result["skipped"]]
    table(rows)
    if "told" in result:
        places([("method:", result["told"])])
    places([(f"{found['word']}:", run_report.told(found)) for found in result["symptoms"]])
    places([("look at", f"{path / 'report.html'}"), *commands(path, about)])


def commands(path: Path, about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what a person may do next with a run: what for, and the words for a shell or Python."""
    if "python" in about["chosen"]:
        return [("use", run_report.loading(path, about)[1])]
    words = f"{shlex.quote(str(path))} {as_words(imports(about['chosen']))}".strip()
    return [
        ("evaluate", f"{program('evaluate')} {words}"),
        ("watch", f"{program('watch')} {words}"),
        ("use", run_report.loading(path, about)[1]),
    ]
