"""Runs an experiment: `python experiments/run.py reacher`; --help says what there is.

From Python, `run` leaves the same as the command: checkpoints, report, policy.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def run(
    task: Any,
    method: Any = None,
    config: Any = None,
    *,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    on_iteration: Callable[[Any], object] | None = None,
    evaluation_episodes: int | None = None,
) -> Any:
    """Learns `task` by `method`, and leaves in the folder `out` what the command line leaves; see
    `experiments.engine.library.run`, which says what is returned and raised.
    """
    from experiments.engine import library
    from experiments.reports.figures import kept
    from experiments.reports.finalise import finalise

    return library.run(
        task,
        method,
        config,
        seed=seed,
        out=out,
        resume=resume,
        on_iteration=on_iteration,
        evaluation_episodes=evaluation_episodes,
        finalise=finalise,
        kept=kept(),
    )


def main(words: Sequence[str]) -> int:
    """Runs the experiment that the words ask for, or goes on with a run; returns the exit code."""
    from experiments.engine import config_file, training
    from experiments.engine.cli import parse
    from experiments.engine.overrides import choose
    from experiments.engine.resume import restore
    from experiments.engine.run_folder import new_folder, remove_empty
    from experiments.engine.saved_files import saved_config
    from experiments.reports.figures import kept
    from experiments.reports.finalise import finalise
    from lqr import InputError

    here = Path.cwd()  # a module of the user's own may go elsewhere when it is imported
    request = parse(
        words,
        lambda path, experiment: restore(here / path, experiment),
        lambda path: str(saved_config(here / path)["experiment"]),
    )
    if request is None:
        return 0
    experiment, config, options = request
    if options.save_config is not None:
        config_file.save(here / options.save_config, experiment, config)
        print(f"the settings are in {options.save_config}; use them by --config")
        return 0
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed is {options.seed}; expected 0 or more, and less than {2**32}")
    saved = saved_config(here / options.resume) if options.resume else None
    experiment = choose(experiment, options, saved)
    asked = options.resume or options.out
    usual = here / "runs" / experiment.name
    path = here / asked if asked else new_folder(usual, f"seed{options.seed}")
    try:
        return training.run(
            experiment,
            config,
            seed=options.seed,
            path=path,
            finalise=finalise,
            kept=kept(),
            resume=options.resume is not None,
            strict=options.strict_resume,
            begun_from=here / options.init if options.init else None,
        )
    finally:
        if asked is None:
            remove_empty(path)


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
