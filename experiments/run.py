"""Runs an experiment: `python experiments/run.py reacher`; --help says what there is."""

from collections.abc import Sequence


def main(words: Sequence[str]) -> int:
    """Runs the experiment that the words ask for, or goes on with a run; returns the exit code."""
    from experiments.engine.cli import parse
    from experiments.engine.overrides import choose
    from experiments.engine.resume import restore
    from experiments.engine.run_folder import new_path, saved_config
    from experiments.engine.training import run
    from experiments.reports.figures import kept
    from experiments.reports.finalise import finalise
    from lqr import InputError

    request = parse(words, restore, lambda path: str(saved_config(path)["experiment"]))
    if request is None:
        return 0
    experiment, config, options = request
    if options.seed < 0:
        raise InputError(f"seed is {options.seed}; expected 0 or more")
    saved = saved_config(options.resume) if options.resume else None
    experiment = choose(experiment, options, saved)
    path = options.resume or options.out or new_path(experiment.name, options.seed)
    resume = options.resume is not None
    return run(
        experiment,
        config,
        seed=options.seed,
        path=path,
        finalise=finalise,
        kept=kept(),
        resume=resume,
        strict=options.strict_resume,
    )


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
