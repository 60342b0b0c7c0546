"""Tokens are the largest values relative to their gene's; order, padding and asking change nothing of a cell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.minibatch import SparseRows
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import OptionError
from cellwright.models.parts import token_encoder as module
from cellwright.models.parts.token_encoder import TokenEncoder, choose_tokens
from cellwright.nn.mlp import Hidden
from cellwright.nn.transform import apply

N_VARS = 60
HIDDEN = Hidden(16, 2, normalisation="layer")


@pytest.fixture(scope="module")
def data():
    adata = simulate(SimulateOptions(n_obs=80, n_vars=N_VARS, library_mean=100.0), seed=0).adata
    values = adata.X.toarray()
    values[3] = 0  # a cell without a gene
    adata.X = sparse.csr_matrix(values)
    return open_data(adata)


def built(schema, max_genes=10, hidden=HIDDEN, n_heads=2, transform="log_normalise", seed=0):
    torch.manual_seed(seed)
    options = TokenEncoder(max_genes=max_genes, n_heads=n_heads)
    return options.build(schema, 5, hidden=hidden, transform=transform).eval()


def prepared(data, **sizes):
    encoder = built(data.schema, **sizes)
    encoder.prepare(data, np.arange(data.n_obs), np.random.default_rng(0))
    return encoder


def minibatch_of(data, rows=None):
    return next(iter(in_order(data, rows)))


@torch.no_grad()
def encoded(encoder, minibatch):
    return encoder(encoder.inputs(minibatch), minibatch)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("max_genes", [1, 4, 100])
def test_the_tokens_are_the_values_largest_relative_to_what_is_typical(form, max_genes):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(20, 12)) * (rng.random((20, 12)) < 0.5)).astype(np.float32)
    typical = rng.random(12).astype(np.float32) + 0.1
    tokens = choose_tokens(SparseRows.of(form(values)), torch.from_numpy(typical), max_genes)
    for row in range(20):
        ratio = np.abs(values[row]) / typical
        expected = [gene for gene in np.argsort(-ratio)[:max_genes] if values[row, gene]]
        there = tokens.there[row]
        assert tokens.genes[row][there].tolist() == expected
        assert tokens.values[row][there].tolist() == values[row, expected].tolist()
    assert tokens.genes.shape[1] == min(max_genes, (values != 0).sum(axis=1).max())


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_of_equal_scores_the_first_are_chosen_whatever_the_other_cells_are(form):
    """As of peaks that are open or not: all values of a cell are equal, and many genes are equally frequent."""
    rng = np.random.default_rng(0)
    values = (rng.random((20, 400)) < rng.uniform(0.1, 0.8, (20, 1))).astype(np.float32)
    whole = choose_tokens(SparseRows.of(form(values)), torch.ones(400), 64)
    for row in range(20):
        alone = choose_tokens(SparseRows.of(form(values[[row]])), torch.ones(400), 64)
        expected = set(np.flatnonzero(values[row])[:64].tolist())
        assert set(whole.genes[row][whole.there[row]].tolist()) == expected
        assert set(alone.genes[0][alone.there[0]].tolist()) == expected


def test_a_stored_value_that_was_masked_is_no_token():
    x = SparseRows.of(sparse.csr_matrix(np.ones((2, 4), dtype=np.float32)))
    tokens = choose_tokens(x.keep(lambda r, c: c != 2), torch.ones(4), 10)
    assert sorted(tokens.genes[0][tokens.there[0]].tolist()) == [0, 1, 3]


def test_typical_is_the_mean_of_the_transformed_training_values(data):
    encoder, rows = built(data.schema), np.arange(0, 80, 2)
    encoder.prepare(data, rows, np.random.default_rng(0))
    expected = apply("log_normalise", minibatch_of(data, rows).x).dense().mean(dim=0)
    torch.testing.assert_close(encoder.typical[expected > 0], expected[expected > 0])
    assert torch.isinf(encoder.typical[expected == 0]).all()


def test_a_gene_that_no_training_cell_has_comes_last():
    values = np.array([[1, 0, 3], [2, 0, 1]], dtype=np.float32)
    source = open_data(AnnData(values))
    encoder = built(source.schema, transform="none")
    encoder.prepare(source, np.arange(2), np.random.default_rng(0))
    seen = SparseRows.of(np.array([[0.1, 9, 0.1]], dtype=np.float32))
    assert choose_tokens(seen, encoder.typical, 3).genes[0, -1] == 1


def test_permuted_features_give_the_same_latent(data):
    """The order of genes is arbitrary: the same genes in another order are the same cell."""
    encoder, minibatch = prepared(data), minibatch_of(data)
    order = torch.from_numpy(np.random.default_rng(0).permutation(N_VARS))
    permuted = prepared(data)
    with torch.no_grad():
        permuted.gene.weight.copy_(encoder.gene.weight[order])
        permuted.typical.copy_(encoder.typical[order])
    shuffled = sparse.csr_matrix(minibatch.x.dense()[:, order].numpy())
    elsewhere = replace(minibatch, views={"X": SparseRows.of(shuffled)})
    torch.testing.assert_close(encoded(permuted, elsewhere), encoded(encoder, minibatch), rtol=1e-4, atol=1e-5)


def test_a_cell_alone_is_what_it_is_among_longer_cells(data):
    encoder = prepared(data, max_genes=100)
    whole = encoded(encoder, minibatch_of(data))
    for row in (0, 3, 50):  # 3 has no gene
        alone = encoded(encoder, minibatch_of(data, np.array([row])))
        torch.testing.assert_close(alone, whole[[row]], rtol=1e-4, atol=1e-5)
    assert torch.isfinite(whole).all()


def test_genes_asked_for_change_neither_the_cell_nor_one_another(data):
    encoder, minibatch = prepared(data), minibatch_of(data)
    tokens = choose_tokens(encoder.inputs(minibatch), encoder.typical, 10)
    asked = torch.randint(N_VARS, (80, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        none, few, many = encoder.read(tokens), encoder.read(tokens, asked[:, :2]), encoder.read(tokens, asked)
    torch.testing.assert_close(few[:, :1], none, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(many[:, :3], few, rtol=1e-4, atol=1e-5)


def test_no_more_than_a_fixed_number_of_cells_and_of_genes_is_in_memory_at_once(data, monkeypatch):
    encoder, minibatch = prepared(data), minibatch_of(data)
    expected, shapes = encoded(encoder, minibatch), []
    monkeypatch.setattr(module, "CELLS_AT_ONCE", 32)
    encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[1].shape)))
    torch.testing.assert_close(encoded(encoder, minibatch), expected, rtol=1e-4, atol=1e-5)
    assert shapes == [(32, 11, 16), (32, 11, 16), (16, 11, 16)]  # ten genes and the cell's token


def test_weights_are_taken_over_by_the_names_of_genes(data):
    theirs = built(data.schema, seed=1)
    names = [*reversed(data.schema.var_names[:40]), *(f"new_{i}" for i in range(20))]
    ours = built(data.schema, seed=2)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    ours.take(theirs, names, data.schema.var_names)
    assert torch.equal(ours.gene.weight[:40], theirs.gene.weight[:40].flip(0))
    assert torch.equal(ours.gene.weight[40:], before["gene.weight"][40:])
    for name, value in ours.state_dict().items():
        if name.startswith(("out.", "typical")):
            assert torch.equal(value, before[name])
        elif name != "gene.weight":
            assert torch.equal(value, theirs.state_dict()[name])


@pytest.mark.parametrize(
    ("what", "sizes"),
    [
        ("n_hidden", {"hidden": replace(HIDDEN, n_hidden=8)}),
        ("n_layers", {"hidden": replace(HIDDEN, n_layers=1)}),
        ("n_heads", {"n_heads": 4}),
        ("transform", {"transform": "log1p"}),
    ],
)
def test_weights_of_another_size_are_refused(data, what, sizes):
    names = data.schema.var_names
    with pytest.raises(OptionError, match=f"{what} must be that of the pretrained run"):
        built(data.schema, **sizes).take(built(data.schema), names, names)


def test_a_run_without_a_gene_in_common_is_refused(data):
    names = data.schema.var_names
    with pytest.raises(OptionError, match="genes in common"):
        built(data.schema).take(built(data.schema), names, [name.upper() for name in names])


def test_an_encoder_without_a_block_is_refused(data):
    with pytest.raises(OptionError, match="n_layers is 0"):
        built(data.schema, hidden=replace(HIDDEN, n_layers=0))
