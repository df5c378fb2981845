"""Damages checkpoints and policies in thousands of ways, also with a manifest that fits, and loads
them.

Every load gives what was saved, something of the same form (where the digests were made to fit), or
CheckpointError; within 10 s and 512 MiB, and without importing, unpickling, starting or opening
anything.
"""

import argparse
import gzip
import hashlib
import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
from harness import PLAIN, ROOT, Parent, fresh, workplace

NAMES = ("arrays.safetensors", "meta.json", "MANIFEST.json")
MEMORY, SECONDS = 512 << 20, 10  # of one core, for one load
FORBIDDEN = {
    "pickle.find_class",
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
}
FORBIDDEN |= {
    "socket.connect",
    "socket.bind",
    "shutil.unpack_archive",
    "ctypes.dlopen",
    "marshal.loads",
}


class Canary:
    """Pickled, it writes a file when it is loaded."""

    def __reduce__(self):
        return (os.system, ("touch CANARY",))


def sign(folder):
    """Writes a manifest that fits the files, as somebody with bad intentions would."""
    contents = {name: (folder / name).read_bytes() for name in NAMES[:2]}
    digests = {
        n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in contents.items()
    }
    (folder / "MANIFEST.json").write_text(json.dumps(digests))


# -- damage: each takes the path of a file, its bytes, a generator and the folder of another saved
# thing --


def truncate(path, content, draw, other):
    path.write_bytes(content[: draw.randrange(len(content))])


def flip(path, content, draw, other):
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(changed))


def rewrite(path, content, draw, other):
    changed = bytearray(content)
    start = draw.randrange(len(changed))
    for i in range(start, min(len(changed), start + draw.choice((1, 4, 64)))):
        changed[i] = draw.choice((0, 255, draw.randrange(256)))
    path.write_bytes(bytes(changed))


def splice(path, content, draw, other):
    a, b = draw.randrange(len(content)), draw.randrange(len(content))
    path.write_bytes(content[:a] + content[b:])


def append(path, content, draw, other):
    path.write_bytes(content + draw.randbytes(draw.choice((1, 8, 4096))))


def swap(path, content, draw, other):
    path.write_bytes((other / path.name).read_bytes())


def word(path, content, draw, other):
    """Puts another value in the place of a number or a word of the text, or of the header."""
    tokens = [
        b"0",
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
        b"[]",
        b"{}",
        b'""',
        b"1000000000",
        b"9" * 30,
        b'"evilmod:Foo-v0"',
    ]
    at = [i for i, byte in enumerate(content[:4000]) if chr(byte) in '0123456789"'] or [0]
    i = draw.choice(at)
    path.write_bytes(content[:i] + draw.choice(tokens) + content[i + draw.randint(1, 4) :])


def hole(path, content, draw, other):
    path.write_bytes(content if draw.random() < 0.5 else b"")
    os.truncate(path, draw.choice((1 << 40, 1 << 33, (1 << 32) - 8, 1 << 28)))


def pipe(path, content, draw, other):
    path.unlink()
    os.mkfifo(path)


def link(path, content, draw, other):
    path.unlink()
    path.symlink_to(
        draw.choice(("/dev/zero", "/dev/random", "/etc/passwd", "/proc/self/mem", path.name))
    )


def folder_there(path, content, draw, other):
    path.unlink()
    path.mkdir()


def missing(path, content, draw, other):
    path.unlink()


def payload(path, content, draw, other):
    evil = pickle.dumps(Canary())
    path.write_bytes(draw.choice((evil, gzip.compress(evil), b"PK\x03\x04" + evil, evil + content)))


def planted(path, content, draw, other):
    for name in ("__init__.py", "sitecustomize.py", "json.py", "safetensors.py", "toy.py"):
        (path.parent / name).write_text("import os; os.system('touch CANARY')")


def deep(path, content, draw, other):
    path.write_bytes(
        draw.choice(
            (b'{"a":' * 100_000, b"[" * 1_000_000, b'{"a": ' + b"9" * 300_000 + b"}", b"\xff" * 99)
        )
    )


def header(path, content, draw, other):
    """Lies in the header of the arrays: absurd shapes, kinds, offsets."""
    if path.name != "arrays.safetensors":
        return word(path, content, draw, other)
    size = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + size])
    name = draw.choice(sorted(table))
    entry = table[name]
    lie = draw.randrange(6)
    if lie == 0:
        entry["shape"] = draw.choice(
            ([10**9], [10**12], [2**63], [-1], [0], [2**32, 2**32], [1] * 70, [10**9, 0])
        )
    elif lie == 1:
        entry["dtype"] = draw.choice(("F64", "F32", "I64", "U8", "BOOL", "BF16", "F8_E4M3", "X"))
    elif lie == 2:
        entry["data_offsets"] = draw.choice(([0, 10**15], [-8, 0], [8, 0], [0, 0], [2**64, 2**64]))
    elif lie == 3:
        entry["shape"] = entry["shape"][::-1] if len(entry["shape"]) > 1 else [1, *entry["shape"]]
    elif lie == 4:
        table[draw.choice(("__metadata__", "../../x", "", "$array", "a/b"))] = table.pop(name)
    else:
        entry["shape"] = [*entry["shape"], 1]
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    return None


def numbers(path, content, draw, other):
    """Puts NaN, infinity or a huge number among the arrays."""
    if path.name != "arrays.safetensors":
        return word(path, content, draw, other)
    start = 8 + int.from_bytes(content[:8], "little")
    changed = bytearray(content)
    at = start + 8 * draw.randrange(max((len(content) - start) // 8, 1))
    changed[at : at + 8] = np.array([draw.choice((np.nan, np.inf, -np.inf))]).tobytes()
    path.write_bytes(bytes(changed))
    return None


def schema(path, content, draw, other):
    """Changes the description: another format, a key more or less, another kind, a generator's
    state that is none.
    """
    meta = json.loads((path.parent / "meta.json").read_bytes())
    where = meta
    for _ in range(draw.randint(0, 4)):
        inner = [value for value in where.values() if isinstance(value, dict) and value]
        if not inner:
            break
        where = draw.choice(inner)
    key = draw.choice(sorted(where))
    values = (
        None,
        True,
        -1,
        10**40,
        0.5,
        "",
        "os:system",
        "evilmod:Foo-v0",
        [1],
        {},
        {"$array": "nothing"},
        "x" * 10**5,
    )
    change = draw.randrange(4)
    if change == 0:
        del where[key]
    elif change == 1:
        where[draw.choice(("_target_", "__class__", "$array", "a/b"))] = draw.choice(values)
    else:
        where[key] = draw.choice(values)
    (path.parent / "meta.json").write_text(json.dumps(meta))


RANDOM = (truncate, flip, rewrite, splice, append, swap, word)
PLANTED = (hole, pipe, link, folder_there, missing, payload, planted, deep)
SIGNED = (
    truncate,
    flip,
    rewrite,
    splice,
    append,
    swap,
    word,
    payload,
    planted,
    deep,
    header,
    numbers,
    schema,
    header,
)


def damage(folder, pristine, other, draw):
    """Damages the saved folder; returns the name of what was done, and whether its manifest was
    made to fit.
    """
    for name in NAMES:
        shutil.copyfile(pristine / name, folder / name)
    signed = draw.random() < 0.5
    name = draw.choice(NAMES[:2] if signed else NAMES)
    how = draw.choice(SIGNED if signed else RANDOM + PLANTED)
    how(folder / name, (folder / name).read_bytes(), draw, other)
    if signed:
        sign(folder)
    return how.__name__, signed


def clear(folder):
    """Removes everything in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


# -- what is loaded --


def load_as_policy(folder):
    """Loads a policy and lets it act."""
    from agents import load_policy

    policy = load_policy(folder)
    if hasattr(policy, "planner"):
        return policy.act(np.zeros(2), 0)
    if hasattr(policy, "controller"):
        return policy.act(np.zeros(policy.controller.K.shape[-1]), 0)
    return policy.act(np.zeros(policy.do if hasattr(policy, "do") else len(policy.centre)))


def load_as_run(folder):
    """Goes through all that a resumed run does before its first episode, and through that one."""
    from experiments.engine import registry
    from experiments.engine.resume import check_owner, restore, restore_generator
    from experiments.engine.run_folder import RunFolder
    from experiments.engine.training import _iterations

    path = folder.parents[1]
    run = RunFolder(path)
    experiment = registry.load("toy")
    config, seed = restore(path, experiment)
    checkpoint = run.newest()
    check_owner(checkpoint, experiment, config, seed, path)
    rng = np.random.default_rng(0)
    restore_generator(rng, checkpoint.meta["rng"], path)
    copies = {
        table.path: table.path.read_bytes() for table in (run.metrics, run.conditions, run.timing)
    }
    run.cut_back(checkpoint)
    for copy, content in copies.items():
        copy.write_bytes(content)
    state = checkpoint.tree["state"]
    return next(
        iter(
            _iterations(
                experiment.method.train(experiment.task(), config, rng, state=state), state, 5, path
            )
        )
    ).number


def load_as_state(folder):
    """Goes on with real local controllers and a network from a saved state: the first iteration of
    it.
    """
    from agents.tasks.mujoco.reacher import ReacherFour
    from dynamics.storage.tree import load_tree
    from experiments.engine.training import _iterations
    from gps import badmm

    state = load_tree(folder)[0]["state"]
    config = badmm.Config(iterations=3, samples=1, policy_steps=2, hidden=(4,))
    training = badmm.train(ReacherFour(), config, np.random.default_rng(0), state=state)
    return next(iter(_iterations(training, state, 2, folder))).number


POLICIES = (
    "mlp",
    "mlp_std",
    "recurrent",
    "convolutional",
    "future",
    "keypoints",
    "linear",
    "linear_gaussian",
    "mpc",
    "rbf",
    "squashed",
    "tabular",
)  # the words of agents.POLICIES
TARGETS = {**dict.fromkeys(POLICIES, load_as_policy), "run": load_as_run, "state": load_as_state}


def fuzz(target, place, count, seed):
    """Loads `count` damaged copies in this process, which must be one of its own; returns what came
    of them.
    """
    from lqr import CheckpointError, NumericalError, SimulationError

    pristine = place / f"{target}-pristine"
    other = (
        place
        / f"{POLICIES[POLICIES.index(target) - 1] if target in POLICIES else POLICIES[0]}-pristine"
    )
    folder = place / "run" / "checkpoints" / "step_5" if target == "run" else place / target
    folder.mkdir(parents=True, exist_ok=True)
    draw, load, outcomes = random.Random(seed), TARGETS[target], Counter()
    for name in NAMES:
        shutil.copyfile(pristine / name, folder / name)
    os.chdir(place)
    load(folder)  # loads and compiles what is needed
    guard = {"on": False}

    def watch(event, arguments):
        mine = (
            target == "state" and event == "ctypes.dlopen"
        )  # BLAS is asked for its threads when a mixture is fitted
        if (
            guard["on"]
            and not mine
            and (event in FORBIDDEN or (event == "import" and "evil" in str(arguments[0])))
        ):
            os.write(2, f"forbidden: {event} {arguments}\n".encode())
            os._exit(99)

    sys.addaudithook(watch)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    for number in range(count):
        clear(folder)
        how, signed = damage(folder, pristine, other, draw)
        Path("last").write_text(f"{target} {number} {how} signed={signed}")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(60 * SECONDS)  # where it waits for something
        guard["on"] = True
        try:
            load(folder)
            outcomes["signed, of the same form" if signed else "as it was saved"] += 1
            assert signed or how in (
                "planted",
                "word",
                "swap",
                "truncate",
                "flip",
                "rewrite",
                "splice",
            ), how
        except CheckpointError as error:
            named = place.name in str(error) or target == "state"
            assert named, str(error)  # noqa: PT017
            outcomes["CheckpointError"] += 1
        except (NumericalError, SimulationError):
            assert signed
            outcomes["signed: a named error later"] += 1
        finally:
            guard["on"] = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
        assert not Path("CANARY").exists()
    return outcomes


def prepare(place):
    """Makes the saved things that are to be damaged."""
    with Parent() as parent:
        fresh(place)
        parent.run(place, PLAIN)
    os.rename(place / "r", place / "run")
    shutil.rmtree(place / "run" / "checkpoints" / "step_6")
    shutil.copytree(place / "run" / "checkpoints" / "step_5", place / "run-pristine")
    subprocess.run([sys.executable, __file__, "--prepare", str(place)], check=True)


def prepare_policies(place):
    """Saves a policy of each kind, and the state of a method."""
    from golden import policies

    from agents import save_policy
    from agents.tasks.mujoco.reacher import ReacherFour
    from dynamics.storage.tree import save_tree
    from gps import badmm

    config = badmm.Config(iterations=2, samples=1, policy_steps=2, hidden=(4,), policy_kl_limit=1e9)
    last = list(badmm.train(ReacherFour(), config, np.random.default_rng(0)))[-1]
    save_tree(place / "state-pristine", {"state": last.state})
    for kind, (policy, _) in policies().items():
        save_policy(place / f"{kind}-pristine", policy)


def run_all(counts, seed=0, place=None):
    """Prepares, and damages each target in a process of its own; returns the outcomes of each."""
    place = place or workplace()
    prepare(place)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        pairs = [f"{target}={count}" for target, count in counts.items()]
        command = [sys.executable, __file__, "--targets", str(place), str(seed), *pairs]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        last = (place / "last").read_text() if (place / "last").exists() else "before the first"
        assert done.returncode == 0, f"{last}: ended with {done.returncode}\n{done.stderr[-3000:]}"
        return dict(json.loads(line) for line in done.stdout.splitlines())
    finally:
        shutil.rmtree(place, ignore_errors=True)


def fork_each(place, seed, counts):
    """Damages each target in a fork of this process, which has loaded what they need; returns the
    exit code.
    """
    import agents.policies
    import agents.saving  # noqa: F401
    import experiments.engine.training  # noqa: F401
    import gps.badmm  # noqa: F401

    for target, count in counts:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if target == "run":
                    install_toy()
                print(json.dumps([target, fuzz(target, place, int(count), seed)]), flush=True)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            return abs(code)
    return 0


def install_toy():
    """Makes the toy the only experiment."""
    from importlib.util import module_from_spec, spec_from_file_location

    from harness import TOY

    spec = spec_from_file_location("toy", TOY)
    sys.modules["toy"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["toy"])
    sys.modules["toy"].install()


def main(words):
    """Runs the counts that are asked for, and prints what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    shares = {**dict.fromkeys(POLICIES, 0.1), "run": 0.3, "state": 0.1}
    for target, outcomes in run_all(
        {t: round(s * asked.count) for t, s in shares.items()}, asked.seed
    ).items():
        print(f"{target}: {sum(outcomes.values())} tried; {outcomes}")
    return 0


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    if sys.argv[1] == "--prepare":
        prepare_policies(Path(sys.argv[2]))
    else:
        _, _, place, seed, *pairs = sys.argv
        sys.exit(fork_each(Path(place), int(seed), [pair.split("=") for pair in pairs]))
