"""The graph encoder: who the references are, who a cell's neighbours are, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from anndata import AnnData, concat
from scipy.spatial.distance import cdist

from cellwright.core.minibatch import SparseRows
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import DataError, OptionError
from cellwright.models import build
from cellwright.models.parts.graph_encoder import GraphEncoder
from cellwright.nn.message_passing import blocks_around
from cellwright.nn.mlp import Hidden
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

KEYS = {"batch_key": "batch", "label_key": "label", "coordinates_key": "spatial"}


def cells(n_obs=200):
    adata = simulate(SimulateOptions(n_obs=n_obs, n_vars=60, n_latent=4, n_batch=2), seed=0).adata
    adata.obsm["spatial"] = np.random.default_rng(0).random((n_obs, 2)) * 100
    return adata


@pytest.fixture(scope="module")
def adata():
    return cells()


@pytest.fixture(scope="module")
def data(adata):
    return open_data(adata, **KEYS)


def prepared(data, rows=None, **options):
    torch.manual_seed(0)
    encoder = GraphEncoder(**{"n_components": 8, "n_neighbors": 5, **options}).build(
        data.schema, 3, hidden=Hidden(16, 1), transform="log1p"
    )
    encoder.prepare(data, np.arange(data.n_obs) if rows is None else rows, np.random.default_rng(0))
    return encoder.eval()


def whole(data):
    return next(in_order(data, np.arange(data.n_obs)))


def neighbours(encoder, data):
    minibatch = whole(data)
    return encoder.nodes(encoder.inputs(minibatch), minibatch).neighbours


def test_references_are_training_cells_and_at_most_so_many(data):
    rows = np.arange(0, 200, 2)
    encoder = prepared(data, rows)
    assert encoder.references.label.tolist() == data.annotation.label[rows].tolist()
    few = prepared(data, rows, max_references=30)
    assert few.references.features.shape == (30, 8)
    assert few.references.neighbours.max() < 30
    assert set(map(tuple, few.references.places.tolist())) <= set(map(tuple, encoder.references.places.tolist()))


def test_features_are_principal_components_of_mean_square_one(data):
    encoder, minibatch = prepared(data), whole(data)
    features = encoder.nodes(encoder.inputs(minibatch), minibatch).features
    torch.testing.assert_close(features * encoder.scale, encoder.pca.encode(minibatch), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.square().mean(), torch.tensor(1.0))
    torch.testing.assert_close(features, encoder.references.features)


def test_neighbours_are_the_nearest_by_components_and_not_the_cell_itself(data):
    encoder = prepared(data)
    distances = cdist(*[encoder.references.features.double()] * 2)
    np.fill_diagonal(distances, np.inf)
    expected = np.argsort(distances, axis=1)[:, :5]
    np.testing.assert_array_equal(neighbours(encoder, data), expected)
    np.testing.assert_array_equal(encoder.references.neighbours, expected)


def test_neighbours_in_space_are_the_nearest_of_the_same_batch(data):
    encoder = prepared(data, graph="space")
    places, batch = data.annotation.coordinates.astype(np.float64), data.annotation.batch
    distances = cdist(places, places)
    np.fill_diagonal(distances, np.inf)
    distances[batch[:, None] != batch] = np.inf
    expected = np.argsort(distances, axis=1)[:, :5]
    np.testing.assert_array_equal(neighbours(encoder, data), expected)
    np.testing.assert_array_equal(encoder.references.neighbours, expected)


@pytest.mark.parametrize("graph", ["expression", "space"])
def test_a_training_cell_is_not_its_own_neighbour_in_another_data_set_either(adata, data, graph):
    encoder = prepared(data, graph=graph)
    order = np.random.default_rng(1).permutation(200)[:50]
    other = open_data(adata[order].copy(), schema=data.schema)
    np.testing.assert_array_equal(neighbours(encoder, other), neighbours(encoder, data)[order])


@pytest.mark.parametrize("graph", ["expression", "space"])
def test_a_corrupted_cell_keeps_the_neighbours_of_the_whole_one(data, graph):
    encoder, minibatch = prepared(data, graph=graph), whole(data)
    inputs = encoder.inputs(minibatch)
    corrupted = inputs.keep(lambda rows, columns: (rows + columns) % 3 > 0)
    before, after = encoder.nodes(inputs, minibatch), encoder.nodes(corrupted, minibatch)
    assert torch.equal(before.neighbours, after.neighbours)
    assert not torch.equal(before.features, after.features)


def test_nodes_of_a_training_step_do_not_grow_with_the_cells_and_are_bounded_by_the_options():
    counts, sizes = [], []
    for n_obs in (300, 900):
        data = open_data(cells(n_obs), **KEYS)
        encoder = prepared(data, max_references=150, n_sampled=2)
        minibatch = next(in_order(data, np.arange(8)))
        found = encoder.nodes(encoder.inputs(minibatch), minibatch).neighbours
        around = blocks_around(found, encoder.references.neighbours, 2, encoder.options.n_sampled)
        counts.append(len(around.references))
        sizes.append({name: value.shape for name, value in encoder.state_dict().items()})
    assert sizes[0] == sizes[1]
    assert max(counts) <= 8 * (2 + 2 + 4)


def test_dense_and_sparse_values_give_the_same(adata, data):
    encoder = prepared(data)
    dense = adata.copy()
    dense.X = dense.X.toarray()
    minibatch, other = whole(data), whole(open_data(dense, **KEYS))
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(encoder.inputs(minibatch), minibatch), encoder(encoder.inputs(other), other), rtol=1e-3, atol=1e-4
        )


def test_values_of_the_input_are_encoded_and_not_those_of_the_minibatch(data):
    encoder, minibatch = prepared(data), whole(data)
    inputs = encoder.inputs(minibatch)
    nothing = SparseRows(torch.zeros_like(inputs.values), inputs.columns, inputs.starts, inputs.n_vars)
    with torch.no_grad():
        assert not torch.allclose(encoder(inputs, minibatch), encoder(nothing, minibatch))


@pytest.mark.parametrize("convolution", ["gcn", "sage", "gat"])
def test_a_cell_that_was_not_trained_on_joins_the_graph(data, convolution):
    """Its latent is nearer to those of its neighbours than to those of other cells."""
    encoder = prepared(data, np.arange(150), convolution=convolution)
    minibatch = next(in_order(data, np.arange(150, 200)))
    with torch.no_grad():
        nodes = encoder.nodes(encoder.inputs(minibatch), minibatch)
        found, references = encoder.encode(nodes), encoder.encode(encoder.kept(torch.arange(150)))
    distance = torch.cdist(found, references)
    assert (distance.gather(1, nodes.neighbours).mean(dim=1) < distance.mean(dim=1)).float().mean() > 0.9


@pytest.mark.parametrize("name", ["ae", "dae", "vae"])
@pytest.mark.parametrize("graph", ["expression", "space"])
def test_it_stands_before_any_decoder(data, name, graph, tmp_path):
    """A hybrid repeats under its seed, is saved with its references and says the same of one cell as of many."""
    encoder = {"name": "graph", "graph": graph, "n_components": 8, "n_neighbors": 5}
    model = build(name, data.schema, n_latent=3, n_hidden=16, encoder=encoder)
    history = fit(model, data, FitOptions(max_epochs=5, batch_size=32), run=tmp_path / "run", progress=False)
    losses = history.table.query("split == 'train' and term == 'loss'")["value"].to_numpy()
    assert losses[-1] < losses[0]
    latent = reduce(model, data).obsm[f"X_{name}"]
    assert np.array_equal(latent, reduce(load_run(tmp_path / "run"), data).obsm[f"X_{name}"])
    with torch.no_grad():
        alone = model.encode(next(in_order(data, np.array([17]))))
    np.testing.assert_allclose(alone[0], latent[17], rtol=1e-5, atol=1e-5)


def test_a_killed_fit_goes_on_with_the_references_that_it_had(data, tmp_path, monkeypatch):
    """References are a sample drawn before the first epoch; a resumed fit must not draw another."""
    from cellwright.train.interrupt import Interrupted

    options = {"max_references": 40, "n_components": 8, "n_latent": 3, "n_hidden": 16}
    fit_options = FitOptions(max_epochs=4, batch_size=32, checkpoint_seconds=0)
    straight, model = build("gae", data.schema, **options), build("gae", data.schema, **options)
    fit(straight, data, fit_options, progress=False)
    steps, step = [], type(model).reconstruction

    def interrupted(self, minibatch, at):
        if len(steps) == 9:
            raise Interrupted("enough", 2)
        steps.append(1)
        return step(self, minibatch, at)

    monkeypatch.setattr(type(model), "reconstruction", interrupted)
    with pytest.raises(Interrupted):
        fit(model, data, fit_options, run=tmp_path / "run", progress=False)
    monkeypatch.undo()
    again = build("gae", data.schema, **options)
    fit(again, data, fit_options, run=tmp_path / "run", progress=False)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_space_without_coordinates_is_refused(adata):
    data = open_data(adata, batch_key="batch")
    with pytest.raises(OptionError, match=r"graph='space' must have the places.*Give coordinates_key"):
        GraphEncoder(graph="space").build(data.schema, 3, hidden=Hidden(16, 1), transform="log1p")


def test_fewer_training_cells_than_components_are_refused(data):
    with pytest.raises(DataError, match=r"over 8 principal components must have more training cells.*it has 8"):
        prepared(data, np.arange(8))


def test_cells_of_an_unknown_section_are_refused_in_space_only(adata, data):
    strange = adata[:20].copy()
    strange.obs["batch"] = "another"
    source = open_data(strange, schema=data.schema)
    with pytest.raises(DataError, match=r"20 cells must lie in a section that was trained on.*an unknown section"):
        neighbours(prepared(data, graph="space"), source)
    assert (neighbours(prepared(data), source) >= 0).all()


def test_cells_of_a_section_without_training_cells_are_refused(data):
    first = np.flatnonzero(data.annotation.batch == 0)
    with pytest.raises(DataError, match=r"batch 'batch_2', which has no training cell"):
        neighbours(prepared(data, first, graph="space"), data)


def test_cells_far_outside_the_tissue_are_refused_and_cells_between_others_are_not(adata, data):
    encoder = prepared(data, np.arange(150), graph="space")
    neighbours(encoder, data)  # 50 of the cells were not trained on
    away = adata[:7].copy()
    away.obsm["spatial"] = away.obsm["spatial"] * 100
    with pytest.raises(DataError, match=r"cells must lie within the tissue.*same unit and frame"):
        neighbours(encoder, open_data(away, schema=data.schema))


def test_a_single_batch_needs_no_key():
    adata = cells(60)
    data = open_data(adata, coordinates_key="spatial")
    assert (neighbours(prepared(data, graph="space"), data) >= 0).all()
    away = AnnData(adata.X, var=adata.var, obsm={"spatial": adata.obsm["spatial"] + 1e5})
    with pytest.raises(DataError, match="60 cells must lie within the tissue of the training cells of their section"):
        neighbours(prepared(data, graph="space"), open_data(away, schema=data.schema))


def test_identical_cells_are_each_others_neighbours_only_where_they_differ():
    """Copies of a cell tell nothing that it does not tell itself; they are left out as it is."""
    adata = cells(80)
    twice = concat([adata, adata], index_unique="-")
    data = open_data(twice)
    encoder = prepared(data)
    found = neighbours(encoder, data)
    features = encoder.references.features
    assert (torch.linalg.vector_norm(features[found] - features[:, None], dim=2) > 1e-3).all()
    assert (found >= 0).all()


def test_cells_at_one_place_are_told_apart_and_from_one_that_was_not_trained_on():
    adata = cells(90)
    adata.obsm["spatial"] = np.repeat(adata.obsm["spatial"][:30], 3, axis=0)
    adata.obs["batch"] = adata.obs["batch"].to_numpy()[np.repeat(np.arange(30), 3)]
    rows = np.flatnonzero(np.arange(90) % 3 < 2)  # of each place the third cell was not trained on
    data = open_data(adata, **KEYS)
    encoder = prepared(data, rows, graph="space", convolution="gat")
    with torch.no_grad():
        itself = encoder.attention(whole(data)).itself
    expected = np.full(90, -1)
    expected[rows] = np.arange(60)
    np.testing.assert_array_equal(itself, expected)


def test_labels_change_nothing(data):
    encoder, minibatch = prepared(data), whole(data)
    inputs = encoder.inputs(minibatch)
    with torch.no_grad():
        assert torch.equal(encoder(inputs, minibatch), encoder(inputs, replace(minibatch, label=minibatch.label * 0)))
