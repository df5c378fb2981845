"""What lies beside a run has its care: the tools that read its folder, and the folders of several
runs.
"""

import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from harness import PLAIN, ROOT, fresh

from dynamics.storage.files import DEPTH
from dynamics.storage.tree import load_tree, save_tree
from experiments.engine import provenance
from experiments.engine.overrides import saved_task
from experiments.engine.run_folder import new_folder
from experiments.engine.saved_files import saved_config, saved_result
from experiments.engine.verification import verify
from experiments.launcher import COMMANDS
from experiments.sweeps.ownership import check_runs, claim
from lqr import CheckpointError, InputError, StorageError

SECRET = b"a private key"


@pytest.fixture(scope="module")
def finished(parent, tmp_path_factory):
    """The folder of a finished run; not to be written to."""
    place = tmp_path_factory.mktemp("beside") / "x"
    fresh(place)
    assert parent.run(place, PLAIN) == 0
    return place / "r"


@pytest.fixture
def run(finished, place):
    """A copy of the finished run."""
    shutil.copytree(finished, place / "r")
    return place / "r"


def error_of(place):
    (line,) = (place / "err").read_text().splitlines()
    assert line.startswith("error: ")
    return line


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# one reader: no tool follows a link, waits on a pipe or reads without end


@pytest.mark.parametrize("kind", ["link", "pipe", "endless"])
@pytest.mark.parametrize("command", ["compare", "evaluate", "verify", "export"])
def test_no_command_reads_what_is_no_file_of_the_run(parent, place, run, command, kind):
    name = {"export": "policy/meta.json"}.get(command, "config.json")
    (run / name).unlink()
    if kind == "pipe":
        os.mkfifo(run / name)
    else:
        (place / "secret").write_bytes(SECRET)
        (run / name).symlink_to("/dev/zero" if kind == "endless" else place / "secret")
    assert parent.run(place, ["r"], command=command) == 3
    assert name in error_of(place)
    assert SECRET.decode() not in (place / "out").read_text() + (place / "err").read_text()


@pytest.mark.parametrize(
    "name", ["metrics.csv", "result.json", "figures/learning.png", "figures", "checkpoints"]
)
def test_a_link_anywhere_in_a_run_ends_a_comparison(parent, place, run, name):
    (place / "secret").mkdir()
    target = run / name
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.symlink_to(place / "secret")
    assert parent.run(place, ["r", "--out", "page.html"], command="compare") == 3
    assert "got a link" in error_of(place)
    assert not (place / "page.html").exists()


def test_a_program_takes_the_place_of_a_link_and_not_of_what_it_points_to(place, monkeypatch):
    from agents.policies.export import export
    from agents.policies.mlp import NeuralPolicy

    policy = NeuralPolicy.create(3, 2, (4,), np.ones(2), np.random.default_rng(0))
    (place / "thesis").write_bytes(SECRET)
    (place / "p.pt2").symlink_to(place / "thesis")
    assert export(policy, place / "p") == place / "p.pt2"
    assert (place / "thesis").read_bytes() == SECRET
    before = (place / "p.pt2").read_bytes()
    assert not (place / "p.pt2").is_symlink()
    assert len({export(policy, place / f"v1.{i}") for i in (2, 3)}) == 2  # names are kept

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space"):
        export(policy, place / "p")
    assert (place / "p.pt2").read_bytes() == before
    assert not list(place.glob(".tmp*"))


def onnx_writer(monkeypatch):
    from agents.policies import export
    from agents.policies.mlp import NeuralPolicy

    policy = NeuralPolicy.create(3, 2, (4,), np.ones(2), np.random.default_rng(0))
    monkeypatch.setattr(export, "_onnx", lambda *_: b"a program")
    return "policy_program.onnx", lambda folder: export.export(
        policy, folder / "policy_program", "onnx"
    )


def film_writer(monkeypatch):
    from experiments.viewer import video

    monkeypatch.setitem(sys.modules, "av", types.ModuleType("av"))
    monkeypatch.setattr(video, "mp4", lambda frames: b"a film")
    frames = [np.full((8, 8, 3), i, np.uint8) for i in (0, 90)]
    return "policy.mp4", lambda folder: video.write(folder, frames)


def picture_writer(monkeypatch):
    return "policy.gif", film_writer(monkeypatch)[1]


@pytest.mark.parametrize("writer", [onnx_writer, film_writer, picture_writer])
def test_a_program_and_a_film_are_written_as_a_whole_beside_a_link_or_not_at_all(
    place, monkeypatch, writer
):
    name, write = writer(monkeypatch)
    (place / "thesis").write_bytes(SECRET)
    (place / name).symlink_to(place / "thesis")
    write(place)
    assert (place / "thesis").read_bytes() == SECRET
    before = (place / name).read_bytes()
    assert before != SECRET
    assert not (place / name).is_symlink()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space"):
        write(place)
    assert (place / name).read_bytes() == before
    assert not list(place.glob(".tmp*"))


def test_a_tree_is_as_deep_as_can_be_read_and_no_deeper(place):
    def nested(levels):
        return {"a": nested(levels - 1)} if levels else {"leaf": 1}

    save_tree(place / "tree", nested(DEPTH - 10))
    assert load_tree(place / "tree")[0] == nested(DEPTH - 10)
    with pytest.raises(InputError, match="levels"):
        save_tree(place / "deep", nested(DEPTH))
    from dynamics.storage.files import parse_json

    text = '{"a":' * 900 + "1" + "}" * 900
    with pytest.raises(CheckpointError, match="levels deep"):
        parse_json(place / "meta.json", text.encode())


# kinds: what a file says is looked at when it is read


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chosen", []),
        ("chosen", {"task": {}}),
        ("dependencies", {"numpy": 3}),
        ("fingerprint", {"python": ["3"]}),
        ("config", {"iterations": {}}),
        ("text", 3),
        ("actor", ["policy"]),
        ("seed", "3"),
    ],
)
def test_a_config_of_another_kind_is_refused_when_it_is_read(run, key, value):
    change(run / "config.json", **{key: value})
    with pytest.raises(CheckpointError, match=key):
        saved_config(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("evaluation", 3),
        ("evaluation", {"mean_return": "high"}),
        ("evaluation", {"mean_return": 10**400}),
        ("evaluation", {"mean_return": 1.0, "returns": [1.0, "2"]}),
        ("evaluation", {"mean_return": 1.0, "returns": [1e308, 1e308]}),
        ("env_id", ["Reacher-v5"]),
        ("input", 5),
        ("held_out", {"cost": []}),
        ("digests", []),
    ],
)
def test_a_result_of_another_kind_is_refused_when_it_is_read(run, key, value):
    change(run / "result.json", **{key: value})
    with pytest.raises(CheckpointError, match=key):
        saved_result(run)


@pytest.mark.parametrize(
    "chosen", [{"task_conditions": 10**9}, {"task_horizon": 10**9}, {"task_conditions": -1}]
)
def test_a_file_does_not_decide_how_much_is_started(chosen):
    saved = {"experiment": "lqr_flm", "chosen": {"task": "point_mass", **chosen}}
    with pytest.raises(CheckpointError, match="a file alone does not decide"):
        saved_task(saved, Path("r"))


def test_a_file_does_not_decide_that_processes_are_started(monkeypatch):
    from experiments.engine import overrides

    built = []
    monkeypatch.setattr(overrides, "make_task", lambda name, **how: built.append((name, how)))
    chosen = {"task": "gymnasium:Pendulum-v1", "task_processes": True}
    saved_task({"experiment": "lqr_flm", "chosen": chosen}, Path("r"))
    assert built == [("gymnasium:Pendulum-v1", {})]


# whole: all parts of a finished run are looked for


@pytest.mark.parametrize(
    "name", ["checkpoints", "policy", "trajectories", "report.html", "figures/learning.png"]
)
def test_a_finished_run_without_a_part_is_not_whole(run, name):
    verify(run)
    shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        verify(run)


def test_a_result_or_a_config_that_was_changed_is_not_whole(run, finished):
    change(run / "result.json", seconds=0.1)
    with pytest.raises(CheckpointError, match=r"result\.json"):
        verify(run)
    shutil.copy(finished / "result.json", run)
    config = json.loads((run / "config.json").read_text())
    change(run / "config.json", config=config["config"] | {"tries": 9})
    with pytest.raises(CheckpointError, match=r"config\.json that differs .* config"):
        verify(run)


# marks: whose a folder is


def test_the_sources_are_part_of_what_a_run_was_made_by(place):
    (place / "mine.py").write_text("def f():\n    return 1\n")
    (function,) = (_imported(place / "mine.py").f,)
    before = provenance.sources(function)
    assert before == provenance.sources(function) != provenance.sources()
    (place / "mine.py").write_text("def f():\n    return 2\n")
    assert provenance.sources(function) != before


def _imported(path):
    from experiments.engine.overrides import _from_file

    return _from_file(path)


def test_a_resume_by_other_sources_warns_or_is_refused(parent, place, run):
    config = json.loads((run / "config.json").read_text())
    change(run / "config.json", fingerprint=config["fingerprint"] | {"sources": "0" * 16})
    (run / "result.json").unlink()
    shutil.rmtree(run / "checkpoints" / "step_6")
    assert parent.run(place, ["--resume", "r", "--strict-resume"]) == 3
    assert "sources differ" in error_of(place)
    assert parent.run(place, ["--resume", "r"]) == 0
    assert "warning: sources differ" in (place / "err").read_text()
    assert json.loads((place / "r" / "result.json").read_text())["exact_resume"] is False


def test_a_checkpoint_of_another_task_is_not_gone_on_from(parent, place, run):
    change(run / "config.json", chosen={"evaluation_episodes": 2})
    (run / "result.json").unlink()
    assert parent.run(place, ["--resume", "r"]) == 3
    assert "evaluation_episodes" in error_of(place)


def test_a_sweep_into_the_folder_of_another_is_refused_before_anything_runs(parent, place, run):
    (place / "s").mkdir()
    run.rename(place / "s" / "seed_3")
    words = ["toy", "--seeds", 1, "--first", 7, "--out", "s"]
    assert parent.run(place, [*words, "--tries", 9], command="sweep") == 3
    assert "config" in error_of(place)
    assert os.listdir(place / "s") == ["seed_3"]
    saved = saved_config(place / "s" / "seed_3")
    check_runs(place / "s", saved)
    (place / "s" / "seed_3").rename(place / "s" / "seed_4")
    with pytest.raises(CheckpointError, match="seed"):
        check_runs(place / "s", saved)


def test_a_folder_is_taken_again_by_the_same_words_alone(place):
    claim(place / "f", {"algorithm": "SAC", "steps": 10})
    claim(place / "f", {"algorithm": "SAC", "steps": 10})
    with pytest.raises(CheckpointError, match="steps 20 where it has 10"):
        claim(place / "f", {"algorithm": "SAC", "steps": 20})
    (place / "g").mkdir()
    (place / "g" / "curve.csv").write_text("mine\n")
    with pytest.raises(CheckpointError, match=r"curve\.csv"):
        claim(place / "g", {"algorithm": "SAC"}, ("curve.csv",))
    assert (place / "g" / "curve.csv").read_text() == "mine\n"


def test_a_peer_is_done_where_its_mark_says_so(place, monkeypatch):
    from experiments.benchmarking import peers

    def train(algorithm, env_id, steps, seed, every, folder):
        trained.append(seed)
        (folder / "curve.csv").write_text("env_steps\n1\n")

    trained = []
    monkeypatch.setattr(peers, "train", train)
    for _ in range(2):
        assert peers.run("SAC", "Reacher-v5", 10, 3, 5, place / "p") == 0
    assert trained == [3]
    (place / "p" / "done").write_text("")
    with pytest.raises(CheckpointError, match="done"):
        peers.run("SAC", "Reacher-v5", 10, 3, 5, place / "p")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"env_id": "NoSuch-v5"}, "NoSuch"),
        ({"env_id": "CartPole-v1"}, "Discrete"),
        ({"steps": -5}, "-5 steps"),
        ({"every": 0}, "0 steps between"),
        ({"seed": -1}, "seed -1"),
        ({"algorithm": "TD9"}, "TD9"),
    ],
)
def test_a_peer_that_is_refused_leaves_nothing(place, change, word):
    from experiments.benchmarking import peers

    words = {"algorithm": "PPO", "env_id": "Pendulum-v1", "steps": 9, "seed": 0, "every": 9}
    with pytest.raises(InputError, match=word):
        peers.run(**words | change, folder=place / "p")
    assert not (place / "p").exists()


# comparisons: finished runs count, each seed once


def test_the_means_are_of_finished_runs_and_each_seed_counts_once(parent, place, run, capsys):
    assert parent.run(place, ["toy", "--seed", 4, "--out", "four"]) == 0
    assert parent.run(place, ["toy", "--seed", 5, "--out", "five"]) == 0
    (place / "five" / "result.json").unlink()
    shutil.copytree(run, place / "copy")
    words = ["r", "four", "five", "copy", "--out", "page.html"]
    assert parent.run(place, words, command="compare") == 0, (place / "err").read_text()
    ends = []
    for name in ("r", "four"):
        with open(place / name / "metrics.csv") as file:
            ends.append(float(list(csv.DictReader(file))[-1]["policy_cost"]))
    out = " ".join((place / "out").read_text().split())
    assert f"{statistics.fmean(ends):.4g} ± {statistics.stdev(ends):.2g}" in out
    assert "not finished" in out
    assert "counts once" in out
    assert str(place / "page.html") in out


def test_a_comparison_that_cannot_be_written_is_printed(parent, place, run):
    (place / "file").touch()
    assert parent.run(place, ["r", "--out", "file/page.html"], command="compare") == 5
    assert "toy" in (place / "out").read_text()
    assert "file" in error_of(place)


def test_text_out_of_a_run_reaches_a_terminal_as_characters_that_it_shows(parent, place, run):
    shutil.copytree(run, place / "other")
    settings = json.loads((run / "config.json").read_text())["config"]
    change(place / "other" / "config.json", config=settings | {"tries": 9})
    change(run / "config.json", version="\x1b]0;owned\x07\x9b2J\u202e")
    assert parent.run(place, ["r", "other", "--out", "p.html"], command="compare") == 0
    out = (place / "out").read_text()
    assert "\\x1b]0;owned\\x07\\x9b2J\\u202e" in out.replace("\n", "").replace(" ", "")
    assert all(c.isprintable() or c == "\n" for c in out)
    change(run / "config.json", seed="\x1b[31m")
    shutil.move(run / "config.json", run / "\x1b[31m")
    (run / "config.json").symlink_to("\x1b[31m")
    assert parent.run(place, ["r"], command="verify") == 3
    assert "\x1b" not in (place / "err").read_text()


# one guard: broken outputs, exits of others' code, Ctrl-C


def test_a_broken_output_costs_the_text_alone_and_is_told(parent, place, run):
    said = place / "said"
    said.mkdir()
    (said / "out").symlink_to("/dev/full")
    cut = "error: cannot write the standard output ([Errno 28] No space left on device)"

    def full(*words, command):
        code = parent.run(place, words, command=command, said=said)
        (line,) = (said / "err").read_text().splitlines()
        assert line.startswith(cut)
        return code

    assert full("r", command="verify") == 5
    assert full("r", "--out", "p.html", command="compare") == 5
    assert (place / "p.html").exists()
    shutil.move(run, place / "s" / "seed_3")
    words = ["toy", "--first", "3", "--seeds", "1", "--out", "s"]
    assert full(*words, command="sweep") == 5
    assert (place / "s" / "sweep.csv").read_text().startswith("seed,")
    (said / "err").unlink()
    (said / "err").symlink_to("/dev/full")
    assert parent.run(place, ["s/seed_3"], command="verify", said=said) == 5
    shutil.rmtree(place / "s" / "seed_3" / "policy")
    assert parent.run(place, ["s/seed_3"], command="verify", said=said) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_ends_every_command_with_5_and_one_line(parent, place, command):
    (place / "out").symlink_to("/dev/full")
    assert parent.run(place, ["--help"], command=command) == 5
    assert "cannot write the standard output" in error_of(place)


def test_an_exit_out_of_a_users_cost_is_an_error_and_leaves_nothing(parent, place):
    (place / "mine.py").write_text("import sys\nsys.exit(0)\n")
    words = ["lqr_flm", "--task", "point_mass", "--cost", "mine.py:cost", "--out", "r"]
    assert parent.run(place, words) == 1
    assert "mine.py, line 2: got sys.exit(0)" in error_of(place)
    assert not (place / "r").exists()


def test_a_path_stays_where_it_was_meant_whatever_a_users_module_does(parent, place):
    (place / "away").mkdir()
    (place / "r").mkdir()
    (place / "r" / "thesis").touch()
    (place / "mine.py").write_text(
        "import os\nos.chdir('away')\ndef cost(x, u):\n    return (x**2).sum(-1)\n"
    )
    words = ["lqr_flm", "--task", "point_mass", "--cost", "mine.py:cost", "--out", "r"]
    assert parent.run(place, words) == 3
    assert "thesis" in error_of(place)
    assert os.listdir(place / "away") == []


def test_two_commands_of_one_second_have_a_folder_each(place):
    found = {new_folder(place / "runs", "seed0") for _ in range(5)}
    assert len(found) == 5
    assert all(path.is_dir() for path in found)


SETTINGS = [("--kl-step", "1e308"), ("--kl-step", "1e-308"), ("--initial-std", "1e25")]
SETTINGS += [("--samples", str(10**25)), ("--seed", str(10**25)), ("--task-horizon", str(10**25))]
SETTINGS += [("--pretraining", "3")]


@pytest.mark.parametrize("words", SETTINGS, ids=" ".join)
def test_a_setting_that_cannot_be_is_refused_by_name_and_leaves_nothing(parent, place, words):
    words = ["lqr_flm", "--task", "point_mass", *words, "--out", "r"]
    assert parent.run(place, words) == 2
    said = error_of(place)
    assert "unexpected" not in said
    assert words[3].strip("-").replace("-", "_") in said.replace("-", "_")
    assert not (place / "r").exists()


def test_settings_that_ask_for_more_memory_than_there_is_leave_no_folder(
    place, monkeypatch, capsys
):
    from experiments import run
    from experiments.engine import training
    from experiments.engine.guard import guarded

    def large(*_):
        raise MemoryError("unable to allocate 1 EiB")

    monkeypatch.setattr(training, "_train", large)
    words = ["lqr_flm", "--task", "point_mass", "--out", str(place / "r")]
    assert guarded(run.main, words) == 1
    assert "got no more memory (unable to allocate 1 EiB)" in capsys.readouterr().err
    assert not (place / "r").exists()


def test_no_method_takes_a_number_whose_powers_are_no_numbers():
    from importlib import import_module

    from experiments.engine import registry
    from experiments.engine.flat import flat, rebuilt

    taken = []
    for word in registry.methods():
        config = import_module(registry.places()[word]).Config()
        for name, value in flat(config).items():
            kind = type(value[0]) if isinstance(value, tuple) and value else type(value)
            for odd in (1e308, 1e-308, 10**25) if kind in (int, float) else ():
                given = (odd,) if isinstance(value, tuple) else odd
                try:
                    rebuilt(config, flat(config) | {name: given})
                    taken.append(f"{word} {name} {odd}")
                except InputError:
                    pass
    assert not taken


@pytest.mark.parametrize("step", ["nan", "0", "-0.01", "inf", "1e-300"])
def test_a_model_whose_time_does_not_go_on_is_refused(step, tmp_path):
    from agents.tasks.adapters.mjcf_task import MjcfTask
    from agents.tasks.base.mujoco_batch import MujocoBatch

    body = '<worldbody><body name="b"><joint name="j"/><geom size="1"/><site name="tip"/></body></worldbody>'
    body += '<actuator><motor joint="j"/></actuator>'
    text = f'<mujoco><option timestep="{step}"/>{body}</mujoco>'
    with pytest.raises(InputError, match="time step"):
        MujocoBatch(text, 1).dt  # noqa: B018
    (tmp_path / "m.xml").write_text(text)
    with pytest.raises(InputError, match="time step"):
        MjcfTask(tmp_path / "m.xml", goal={"tip": (0.3, 0, 0.2)})


@pytest.mark.parametrize("how", ["killed", "exits", "raises", "another shape"])
def test_environments_in_processes_fail_by_name_and_leave_nobody(how, capfd):
    import gymnasium

    from agents.tasks.adapters.gymnasium_task import GymnasiumTask
    from lqr import SimulationError

    class Failing(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float64)
        action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float64)

        def reset(self, seed=None, options=None):
            return np.zeros(2), {}

        def step(self, action):
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "exits":
                sys.exit(0)
            if how == "raises":
                raise RuntimeError("out of paper")
            return np.zeros(3), 0.0, False, False, {}

    task = GymnasiumTask(Failing, horizon=5, processes=True)
    task.reset(np.zeros(2, int), np.random.default_rng(0))
    workers = [process.pid for process in task._processes._fleet.processes]
    with pytest.raises((SimulationError, InputError), match="gymnasium:Failing"):
        task.step(np.zeros((2, 1)))
    end = time.monotonic() + 60
    while (left := [pid for pid in workers if _alive(pid)]) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left
    assert capfd.readouterr().err == ""


def _alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_moving_picture_whose_parent_is_gone_is_not_made(finished):
    script = ROOT / "experiments" / "viewer" / "video.py"
    done = subprocess.run([sys.executable, str(script), str(finished), "1"], capture_output=True)
    assert done.returncode == 128 + signal.SIGKILL


def test_ctrl_c_while_the_libraries_load_is_silent(place):
    words = [sys.executable, str(ROOT / "experiments" / "compare.py"), "nowhere"]
    process = subprocess.Popen(words, stdout=-1, stderr=-1, cwd=place)
    while (
        process.poll() is None and "multiarray" not in Path(f"/proc/{process.pid}/maps").read_text()
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert process.communicate() == (b"", b"")
    assert process.returncode == 130


PAGE = """
import json
import numpy as np
from dynamics import Network
from agents.tasks.classic.point_mass import PointMass
from gps import lqr_flm
config = lqr_flm.Config(iterations=2, samples=2)
*_, last = lqr_flm.train(PointMass(), config, np.random.default_rng(0))
print(json.dumps(last.scalars))
"""


def test_a_method_without_a_compiler_tells_the_same_but_for_rounding(capsys):
    """Compiled code fuses multiplications and additions, and the search for eta ends elsewhere."""
    exec(PAGE)
    compiled = json.loads(capsys.readouterr().out)
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PAGE], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == pytest.approx(compiled, rel=1e-7, abs=1e-10)
