"""Blocks of sampled neighbours give what PyTorch Geometric gives on the whole graph."""

import numpy as np
import pytest
import torch

from cellwright.nn import message_passing as module
from cellwright.nn.message_passing import GraphConvolution, blocks_around

KINDS = ["gcn", "sage", "gat"]


@pytest.fixture
def graph():
    """6 targets and 30 references with 4 neighbours each, some of them missing."""
    rng = np.random.default_rng(0)
    references = np.stack([rng.choice(np.delete(np.arange(30), i), 4, replace=False) for i in range(30)])
    targets = np.stack([rng.choice(30, 4, replace=False) for _ in range(6)])
    references[3, 2:], targets[1, 1:], targets[2] = -1, -1, -1
    features = rng.normal(size=(36, 5)).astype(np.float32)
    return torch.from_numpy(targets), torch.from_numpy(references), torch.from_numpy(features)


def convolutions(kind):
    torch.manual_seed(0)
    return [GraphConvolution(kind, 5, 8), GraphConvolution(kind, 8, 3)]


def by_blocks(layers, targets, references, features, n_sampled=None):
    around = blocks_around(targets, references, len(layers), n_sampled)
    n = len(targets)
    h = torch.cat([features[:n], features[n:][around.references]])
    for layer, block in zip(layers, around.hops, strict=True):
        h = layer(h, block).relu()
    return h


def edges_of(targets, references):
    """The whole graph: targets first, then references."""
    neighbours = torch.cat([targets, references])
    takers, columns = torch.nonzero(neighbours >= 0, as_tuple=True)
    return torch.stack([neighbours[takers, columns] + len(targets), takers])


@pytest.mark.parametrize("kind", KINDS)
def test_the_targets_get_what_they_get_in_the_whole_graph(kind, graph):
    targets, references, features = graph
    layers, edges = convolutions(kind), edges_of(targets, references)
    h = features
    for layer in layers:
        if kind == "gcn":  # with the library's own normalisation, by the degrees that it finds
            whole = type(layer.layer)(*layer.layer.lin.weight.T.shape)
            whole.load_state_dict(layer.layer.state_dict())
            h = whole(h, edges).relu()
        else:
            h = layer.layer((h, h), edges).relu()
    torch.testing.assert_close(by_blocks(layers, *graph), h[:6])


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_in_pieces_changes_nothing(kind, graph, monkeypatch):
    layers = convolutions(kind)
    with torch.no_grad():
        whole = by_blocks(layers, *graph)
        monkeypatch.setattr(module, "TAKERS_AT_ONCE", 4)
        torch.testing.assert_close(by_blocks(layers, *graph), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_neighbours_changes_nothing(kind, graph):
    targets, references, features = graph
    layers = convolutions(kind)
    with torch.no_grad():
        found = by_blocks(layers, targets.flip(1), references.flip(1), features)
        torch.testing.assert_close(found, by_blocks(layers, *graph))


@pytest.mark.parametrize("kind", KINDS)
def test_without_references_a_cell_hears_itself(kind):
    features = torch.randn(3, 5)
    nobody = torch.full((3, 4), -1), torch.zeros(0, 4, dtype=torch.int64)
    found = by_blocks(convolutions(kind), *nobody, features)
    assert found.isfinite().all()
    assert not torch.equal(found[0], found[1])


def test_a_sample_holds_different_neighbours_of_the_node_and_none_that_is_missing(graph):
    targets, references, _ = graph
    seen = set()
    for seed in range(60):
        torch.manual_seed(seed)
        around = blocks_around(targets, references, 1, 2)
        heard = around.hops[0].heard
        assert heard.shape == (6, 2)
        for row, positions in enumerate(heard):
            there = [int(around.references[p - 6]) for p in positions if p >= 0]
            assert len(there) == len(set(there)) == min(2, int((targets[row] >= 0).sum()))
            assert set(there) <= set(targets[row].tolist())
            seen |= {(row, one) for one in there}
    # every neighbour has its turn
    assert seen == {(row, int(one)) for row, ones in enumerate(targets) for one in ones if one >= 0}


def test_a_block_has_no_more_givers_than_the_sample_asks_for():
    rng = np.random.default_rng(0)
    references = torch.from_numpy(rng.integers(0, 5000, (5000, 15)))
    targets = torch.from_numpy(rng.integers(0, 5000, (8, 15)))
    around = blocks_around(targets, references, 2, 3)
    assert len(around.references) <= 8 * (3 + 3 + 9)  # the targets draw in each hop
    assert [block.n_takers for block in around.hops] == [8 + len(around.hops[1].heard.unique()), 8]


def test_attention_sums_to_one_over_the_neighbours_that_are_there(graph):
    targets, references, features = graph
    around = blocks_around(targets, references, 1, None)
    givers = torch.cat([features[:6], features[6:][around.references]])
    weights = convolutions("gat")[0].attention(givers, around.hops[0])
    assert torch.equal(weights > 0, targets >= 0)
    torch.testing.assert_close(weights.sum(dim=1), torch.tensor([1.0, 1, 0, 1, 1, 1]))
