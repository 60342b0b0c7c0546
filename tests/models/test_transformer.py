"""What is hidden is asked for and never seen; labels weigh as they should; weights come from another run by name."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from cellwright.core.minibatch import SparseRows
from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import OptionError
from cellwright.models.transformer import (
    Transformer,
    TransformerClassifier,
    TransformerClassifierOptions,
    TransformerOptions,
)
from cellwright.models.vae import VAE
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

N_VARS = 50
SMALL = {"n_hidden": 16, "n_layers": 1}
SHORT = FitOptions(max_epochs=2, validation=0.2, batch_size=64)


@pytest.fixture(scope="module")
def cells():
    adata = simulate(SimulateOptions(n_obs=150, n_vars=N_VARS, library_mean=80.0), seed=0).adata
    adata.obs.loc[adata.obs_names[:60], "label"] = None
    return adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, label_key="label")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, cells):
    """The run of a transformer on other cells, whose genes are half others and in another order."""
    adata = cells[::-1, ::-1].copy()
    adata.var_names = [name if i % 2 else f"other_{name}" for i, name in enumerate(adata.var_names)]
    source = open_data(adata)
    folder = tmp_path_factory.mktemp("runs") / "transformer"
    model = Transformer(source.schema, TransformerOptions(**SMALL))
    fit(model, source, SHORT, run=folder, progress=False)
    return folder, model, list(adata.var_names)


def minibatch_of(data):
    return next(iter(in_order(data)))


def transformer(data, **options):
    torch.manual_seed(0)
    model = Transformer(data.schema, TransformerOptions(**SMALL, **options)).eval()
    model.prepare(0, data, np.arange(data.n_obs), np.random.default_rng(0))
    return model


def hiding(model, data, step=Step(0, NoiseKey(0))):  # noqa: B008  frozen
    """Transformed values, which of them are hidden, and the genes that are asked for."""
    minibatch = minibatch_of(data)
    values = model.encoder.inputs(minibatch).dense()
    draw = step.noise.uniform(minibatch.rows, N_VARS, 4)
    hidden = (values != 0) & (draw < model.options.masked_share)
    return values, hidden, *model.asked(draw, hidden, values == 0)


def test_half_of_the_genes_asked_for_are_hidden_and_half_unexpressed(data):
    values, hidden, asked, is_asked = hiding(transformer(data, n_asked=6), data)
    assert asked.shape == (150, 6)
    for row in range(150):
        genes = asked[row][is_asked[row]]
        assert len(set(genes.tolist())) == len(genes)
        assert int(hidden[row, genes].sum()) == min(3, int(hidden[row].sum()))
        assert int((values[row, genes] == 0).sum()) == min(3, int((values[row] == 0).sum()))


def test_genes_of_a_kind_are_asked_for_equally_often(data):
    model = transformer(data, n_asked=4)
    draw, everything = NoiseKey(0).uniform(torch.arange(4000), N_VARS), torch.ones(4000, N_VARS, dtype=torch.bool)
    asked, _ = model.asked(draw, everything, ~everything)
    share = torch.bincount(asked[:, :2].flatten(), minlength=N_VARS) / 8000
    # five standard errors of a binomial share
    assert (share - 1 / N_VARS).abs().max() < 5 * np.sqrt((1 / N_VARS) * (1 - 1 / N_VARS) / 8000)


def test_the_loss_is_the_mean_squared_error_of_what_was_asked_for(data):
    model = transformer(data, cell_weight=2.0)
    values, hidden, asked, is_asked = hiding(model, data)
    with torch.no_grad():
        loss = model.masked_values(minibatch_of(data), Step(0, NoiseKey(0)))
        seen = SparseRows.of(values.masked_fill(hidden, 0).numpy())
        by_token, by_cell = model.predict(seen, asked)
    for row in (0, 77):
        genes, told = asked[row][is_asked[row]], by_token[row][is_asked[row]]
        expected = (told - values[row, genes]).square().mean()
        torch.testing.assert_close(loss.terms["masked"][row], expected, rtol=1e-4, atol=1e-6)
        unseen = hidden[row] | (values[row] == 0)
        expected = (by_cell[row] - values[row])[unseen].square().mean()
        torch.testing.assert_close(loss.terms["cell"][row], expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.per_cell, loss.terms["masked"] + 2 * loss.terms["cell"])


def test_the_value_of_a_hidden_gene_changes_no_prediction(data, monkeypatch):
    """Twice the hidden values must give the same predictions: they are targets only."""
    model, step, minibatch = transformer(data, transform="log1p"), Step(0, NoiseKey(0)), minibatch_of(data)
    _, hidden, *_ = hiding(model, data)
    told, predict = [], model.predict
    monkeypatch.setattr(model, "predict", lambda *given: told.append(predict(*given)) or told[-1])
    doubled = minibatch.x.dense() * (1 + hidden.float())
    changed = type(minibatch)(**{**vars(minibatch), "views": {"X": SparseRows.of(doubled.numpy())}})
    with torch.no_grad():
        losses = [model.masked_values(cells, step).per_cell for cells in (minibatch, changed)]
    for first, second in zip(*told, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(*losses)


def classifier(data, **options):
    torch.manual_seed(0)
    return TransformerClassifier(data.schema, TransformerClassifierOptions(**SMALL, **options)).eval()


def test_a_cell_without_a_label_has_no_loss_and_another_has_its_cross_entropy(data):
    model, minibatch = classifier(data), minibatch_of(data)
    with torch.no_grad():
        loss = model.cross_entropy(minibatch, Step(0, NoiseKey(0))).per_cell
        expected = -model.classify(minibatch).log()
    unlabelled = minibatch.label < 0
    assert int(unlabelled.sum()) == 60
    assert (loss[unlabelled] == 0).all()
    at = torch.nonzero(~unlabelled).flatten()
    torch.testing.assert_close(loss[at], expected[at, minibatch.label[at]])


def test_balanced_weights_are_those_of_scikit_learn(data):
    model, rows = classifier(data, class_weight="balanced"), np.arange(20, 150)
    model.prepare(0, data, rows, np.random.default_rng(0))
    labels = data.annotation.label[rows]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels[labels >= 0])
    torch.testing.assert_close(model.class_weight, torch.tensor(expected, dtype=torch.float32))
    minibatch = minibatch_of(data)
    known = minibatch.label >= 0
    with torch.no_grad():
        loss = model.cross_entropy(minibatch, Step(0, NoiseKey(0))).per_cell[known]
        plain = functional.cross_entropy(model.logits(minibatch)[known], minibatch.label[known], reduction="none")
    torch.testing.assert_close(loss, plain * model.class_weight[minibatch.label[known]])


def test_a_label_without_training_cells_has_no_weight(data):
    model = classifier(data, class_weight="balanced")
    rows = np.flatnonzero(data.annotation.label != 2)
    model.prepare(0, data, rows, np.random.default_rng(0))
    assert model.class_weight[2] == 0
    assert (model.class_weight[:2] > 0).all()


def test_a_fit_starts_from_the_pretrained_run_by_the_names_of_genes(data, pretrained):
    folder, other, theirs = pretrained
    # a step so small that the weights are still those that it started from
    tiny = TransformerClassifierOptions(**SMALL, pretrained=str(folder), learning_rate=1e-12)
    model = TransformerClassifier(data.schema, tiny)
    fit(model, data, SHORT, progress=False)
    shared = [name for name in data.schema.var_names if name in theirs]
    assert len(shared) == N_VARS // 2
    ours = [data.schema.var_names.index(name) for name in shared]
    there = [theirs.index(name) for name in shared]
    torch.testing.assert_close(model.encoder.gene.weight[ours], other.encoder.gene.weight[there])
    for name, value in other.encoder.blocks.named_parameters():
        torch.testing.assert_close(dict(model.encoder.blocks.named_parameters())[name], value)


def test_a_fitted_classifier_goes_on_from_its_own_weights(data, pretrained):
    """And not once more from the run that it started from."""
    options = TransformerClassifierOptions(**SMALL, pretrained=str(pretrained[0]), learning_rate=0.05)
    model = TransformerClassifier(data.schema, options)
    fit(model, data, SHORT, progress=False)
    before = model.encoder.blocks[0].out.weight.detach().clone()
    one = SHORT.model_copy(update={"max_epochs": 1, "batch_size": 2000})
    fit(model, data, one, progress=False)
    # Adam moves a weight by the learning rate at most in its first step
    assert (model.encoder.blocks[0].out.weight - before).abs().max() <= 0.05 * 1.001


def test_only_the_run_of_a_transformer_can_be_the_start(data):
    with pytest.raises(OptionError, match="must be the run of a transformer"):
        classifier(data).take(VAE(data.schema))
