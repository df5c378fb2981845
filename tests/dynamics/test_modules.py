"""Networks are functions of flat named arrays: right in shape, in algebra and in slope."""

import numpy as np
import pytest
import torch

from dynamics.networks.modules import (
    GRU,
    MLP,
    ConvDecoder,
    ConvEncoder,
    GraphLayer,
    joined,
    part,
    to_arrays,
    to_tensors,
)
from dynamics.storage.tree import load_tree, save_tree
from lqr import InputError

SENDERS, RECEIVERS = torch.tensor([0, 1, 2, 3, 3, 0]), torch.tensor([1, 2, 3, 0, 1, 1])


def graph(layer, params, x):
    edges = x[..., :6, :2].flip(-1)
    nodes, edges = layer(params, x[..., :5, :3], edges, SENDERS, RECEIVERS)
    return torch.cat([nodes.flatten(-2), edges.flatten(-2)], -1)


NETWORKS = {
    "mlp": (MLP((3, 5, 4, 2)), lambda n, p, x: n(p, x), (7, 3), (7, 2)),
    "mlp, layer norm": (MLP((3, 5, 4, 2), "tanh", True), lambda n, p, x: n(p, x), (7, 3), (7, 2)),
    "encoder": (
        ConvEncoder((8, 16, 3), 5, (4, 6)),
        lambda n, p, x: n(p, x),
        (2, 3, 8, 16, 3),
        (2, 3, 5),
    ),
    "decoder": (
        ConvDecoder((8, 16, 3), 5, (6, 4)),
        lambda n, p, x: n(p, x),
        (2, 3, 5),
        (2, 3, 8, 16, 3),
    ),
    "gru cell": (GRU(3, 4), lambda n, p, x: n(p, x[..., :3], x[..., 3:]), (6, 7), (6, 4)),
    "gru sequence": (GRU(3, 4), lambda n, p, x: n.sequence(p, x), (2, 5, 3), (2, 5, 4)),
    "graph": (GraphLayer(3, 2, 4, 2, (5,), layer_norm=True), graph, (2, 6, 3), (2, 32)),
}


@pytest.mark.parametrize("word", NETWORKS)
def test_outputs_have_the_shape_and_slopes_are_those_of_finite_differences(word):
    network, call, shape, wanted = NETWORKS[word]
    rng = np.random.default_rng(0)
    arrays = {k: a + 0.1 * rng.standard_normal(a.shape) for k, a in network.start(rng).items()}
    x = torch.tensor(rng.standard_normal(shape))
    weights = torch.tensor(rng.standard_normal(wanted))

    def value(arrays):
        return float((call(network, to_tensors(arrays, dtype="float64"), x) * weights).sum())

    params = to_tensors(arrays, grad=True, dtype="float64")
    out = call(network, params, x)
    assert out.shape == wanted
    (out * weights).sum().backward()
    for name, a in arrays.items():
        way = rng.standard_normal(a.shape)
        up, down = ({**arrays, name: a + sign * 1e-5 * way} for sign in (1, -1))
        slope = (value(up) - value(down)) / 2e-5
        assert params[name].grad is not None
        got = float((params[name].grad * torch.tensor(way)).sum())
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("word", NETWORKS)
def test_parameters_come_back_from_a_folder_to_the_same_bits(word, tmp_path):
    network, call, shape, _ = NETWORKS[word]
    rng = np.random.default_rng(1)
    params = to_tensors(joined(a=network.start(rng), b=network.start(rng)))
    save_tree(tmp_path / "net", to_arrays(params))
    again = to_tensors(load_tree(tmp_path / "net")[0])
    x = torch.tensor(rng.standard_normal(shape), dtype=torch.float32)
    for name in "ab":
        mine, theirs = (call(network, part(p, name), x) for p in (params, again))
        assert torch.equal(mine, theirs)
    assert not torch.equal(
        params[f"b.{next(iter(part(params, 'b')))}"], next(iter(params.values()))
    )


def test_the_same_rng_starts_the_same_network():
    for network, *_ in NETWORKS.values():
        first, second = (network.start(np.random.default_rng(3)) for _ in range(2))
        assert all((first[k] == second[k]).all() for k in first)


def test_an_mlp_equals_its_algebra():
    rng, network = np.random.default_rng(2), MLP((3, 4, 2), "relu", layer_norm=True)
    p = network.start(rng)
    p["scale0"], p["shift0"], p["b0"] = rng.standard_normal((3, 4))
    x = rng.standard_normal((6, 3))
    h = x @ p["W0"] + p["b0"]
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    wanted = np.maximum(p["scale0"] * h + p["shift0"], 0) @ p["W1"] + p["b1"]
    got = network(to_tensors(p, dtype="float64"), torch.tensor(x)).numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_a_gru_equals_that_of_torch():
    rng, network = np.random.default_rng(4), GRU(3, 5)
    arrays = {k: a + rng.standard_normal(a.shape) for k, a in network.start(rng).items()}
    other = torch.nn.GRU(3, 5, batch_first=True, dtype=torch.float64)
    other.load_state_dict({f"{k}_l0": torch.tensor(a) for k, a in arrays.items()})
    x, h = torch.tensor(rng.standard_normal((4, 7, 3))), torch.tensor(rng.standard_normal((4, 5)))
    params = to_tensors(arrays, dtype="float64")
    wanted, last = other(x, h[None])
    torch.testing.assert_close(network.sequence(params, x, h), wanted)
    torch.testing.assert_close(network.sequence(params, x)[:, -1], other(x)[1][0])
    torch.testing.assert_close(last[0], wanted[:, -1])


def test_nodes_in_another_order_give_the_same_in_that_order():
    rng, layer = np.random.default_rng(5), GraphLayer(3, 2, 4, 2)
    params = to_tensors(layer.start(rng), dtype="float64")
    nodes = torch.tensor(rng.standard_normal((2, 5, 3)))
    edges = torch.tensor(rng.standard_normal((2, 6, 2)))
    new_nodes, new_edges = layer(params, nodes, edges, SENDERS, RECEIVERS)
    order, turn = (torch.tensor(rng.permutation(n)) for n in (5, 6))
    place = torch.argsort(order)  # where each node stands now
    got = layer(
        params, nodes[:, order], edges[:, turn], place[SENDERS[turn]], place[RECEIVERS[turn]]
    )
    torch.testing.assert_close(got[0], new_nodes[:, order])
    torch.testing.assert_close(got[1], new_edges[:, turn])


def test_a_message_reaches_the_node_that_an_edge_points_to_and_no_other():
    rng, layer = np.random.default_rng(6), GraphLayer(3, 2, 4, 2)
    params = to_tensors(layer.start(rng), dtype="float64")
    nodes = torch.tensor(rng.standard_normal((5, 3)))
    edges = torch.tensor(rng.standard_normal((6, 2)))
    before = layer(params, nodes, edges, SENDERS, RECEIVERS)[0]
    edges[2] += 1.0
    after = layer(params, nodes, edges, SENDERS, RECEIVERS)[0]
    assert (after != before).any(1).tolist() == [False, False, False, True, False]


def test_pictures_of_bytes_are_those_of_shares():
    rng, network = np.random.default_rng(7), ConvEncoder((8, 8, 1), 2, (3,))
    params = to_tensors(network.start(rng))
    picture = torch.tensor(rng.integers(0, 256, (4, 8, 8, 1), dtype=np.uint8))
    torch.testing.assert_close(network(params, picture), network(params, picture.float() / 255))


def test_what_cannot_be_built_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="expected one of silu, relu"):
        MLP((2, 2), "swish").start(rng)
    with pytest.raises(InputError, match="2 or more"):
        MLP((2,)).start(rng)
    with pytest.raises(InputError, match="sides that 8 divides"):
        ConvEncoder((20, 24, 3), 2).start(rng)
    with pytest.raises(InputError, match="expected one of encoder, head"):
        part({"encoder.W0": 1, "head.W0": 2}, "decoder")
