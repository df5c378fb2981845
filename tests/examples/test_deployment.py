"""The examples of docs/deployment.md run, and the policies that are there already do what they say."""

import json
import re
import sys
import threading
import types
import urllib.error
import urllib.request
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from agents import load_policy
from experiments.engine.load_run import open_run

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PRETRAINED = sorted(path.parent for path in (DOCS / "pretrained").glob("*/config.json"))


def example(name):
    """Returns the module of an example."""
    spec = util.spec_from_file_location(name, DOCS / "examples" / f"{name}.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "deployment.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(DOCS)
    exec(compile("\n".join(blocks), "docs/deployment.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "True"


@pytest.mark.parametrize("path", PRETRAINED, ids=lambda path: path.name)
def test_a_policy_that_is_there_is_small_and_opens_with_its_task(path):
    assert len(PRETRAINED) == 3
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 100_000
    run = open_run(path)
    assert load_policy(path).act(np.zeros(run.task.do)).shape == (run.task.du,)
    assert json.loads((path / "config.json").read_text())["seed"] == 0


class Still:
    """Acts with the sum of what it sees."""

    def reset(self):
        self.begun = True

    def act(self, observation):
        return np.array([np.sum(np.asarray(observation, float))])


def test_the_server_answers_observations_with_actions_and_nonsense_with_a_reason():
    server = example("policy_server").server(Still(), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert server.server_address[0] == "127.0.0.1"

        def ask(content):
            url = f"http://127.0.0.1:{server.server_address[1]}"
            with urllib.request.urlopen(urllib.request.Request(url, content), timeout=60) as answer:
                return json.load(answer)

        assert ask(b'{"observation": [1, 2, 3.5]}') == {"action": [6.5]}
        for content in (b"{", b"{}", b'{"observation": "far"}'):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                ask(content)
    finally:
        server.shutdown()
        server.server_close()


class Time(int):
    """An instant, whose differences tell nanoseconds."""

    def __sub__(self, other):
        return types.SimpleNamespace(nanoseconds=int(self) - int(other))


class Node:
    """What of rclpy's node the example uses."""

    def __init__(self, name):
        self.heard_of, self.sent, self.warned, self.ns = {}, [], [], 0

    def create_subscription(self, kind, topic, hear, depth):
        self.heard_of[topic] = hear

    def create_publisher(self, kind, topic, depth):
        return types.SimpleNamespace(publish=self.sent.append)

    def create_timer(self, period, act):
        self.period = period

    def get_clock(self):
        return types.SimpleNamespace(now=lambda: Time(self.ns))

    def get_logger(self):
        return types.SimpleNamespace(warning=self.warned.append)


def test_the_node_commands_what_the_policy_says_of_fresh_joint_states_alone(monkeypatch):
    message = type("Message", (), {"__init__": lambda self, **given: self.__dict__.update(given)})
    parts = {
        "rclpy": {},
        "rclpy.node": {"Node": Node},
        "sensor_msgs": {},
        "sensor_msgs.msg": {"JointState": message},
        "std_msgs": {},
        "std_msgs.msg": {"Float64MultiArray": message},
    }
    for name, found in parts.items():
        module = types.ModuleType(name)
        module.__dict__.update(found)
        monkeypatch.setitem(sys.modules, name, module)
    policy = Still()
    node = example("ros_node").PolicyNode(policy)
    assert policy.begun
    assert node.period == 0.02
    node.act()
    assert node.sent == []
    node.heard_of["joint_states"](message(position=[1.0, 2.0], velocity=[0.25, 0.0]))
    node.ns += 50_000_000
    node.act()
    assert [sent.data for sent in node.sent] == [[3.25]]
    node.ns += 60_000_000  # 0.11 s after the joint state
    node.act()
    assert len(node.sent) == 1
    assert len(node.warned) == 2
