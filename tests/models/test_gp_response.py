import numpy as np
import pytest
import torch

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import Split
from cellwright.errors import OptionError, UnsuitableValues
from cellwright.models import build
from cellwright.models.parts.gaussian_process import chosen_lengths, expected_means
from cellwright.models.parts.training_means import training_means
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}


def simulated(**options):
    shares = (0.4, 0.3, 0.2, 0.1)
    return simulate(SimulateOptions(n_obs=800, n_vars=120, label_shares=shares, treated_share=0.5, **options), seed=0)


def without_treated(source, label):
    """The split that holds out the treated cells of a label."""
    out = (source.annotation.label == label) & (source.annotation.condition != source.schema.control_code)
    return Split(np.flatnonzero(~out), np.array([], dtype=int), np.flatnonzero(out))


def predicted(model, source, label):
    rows = np.flatnonzero(
        (source.annotation.label == label) & (source.annotation.condition == source.schema.control_code)
    )
    minibatch = next(iter(in_order(source, rows)))
    treated = torch.full((len(rows),), 1 - source.schema.control_code)
    with torch.no_grad():
        return model.perturb(minibatch, treated, torch.Generator().manual_seed(0)).numpy(), minibatch


@pytest.fixture(scope="module")
def source():
    return open_data(simulated().adata, **KEYS)


@pytest.fixture(scope="module")
def fitted(source):
    def of(**options):
        model = build("gp_response", source.schema, **options)
        fit(model, source, FitOptions(validation=0), split=without_treated(source, 3), progress=False)
        return model

    return of


def test_the_mean_of_the_cells_is_that_of_the_process(source, fitted):
    found, _ = predicted(fitted(), source, 3)
    means = training_means(source, without_treated(source, 3).train, "log_normalise")
    wanted = expected_means(means, 1, chosen_lengths(means, 1))[3]
    whole = (found > 0).all(axis=0)
    assert whole.sum() > 10
    np.testing.assert_allclose(found.mean(axis=0)[whole], wanted[whole], atol=1e-4)
    # what is cut off at zero raises a mean
    assert (found.mean(axis=0) > wanted - 1e-4).all()


def test_a_constant_keeps_the_deviation_of_each_cell_where_nothing_is_cut_off(source, fitted):
    found, minibatch = predicted(fitted(), source, 3)
    x = minibatch.x.dense()
    before = torch.log1p(x * 1e4 / minibatch.library).numpy()
    whole = (found > 0).all(axis=0)
    assert whole.sum() > 10
    np.testing.assert_allclose((found - before)[:, whole].std(axis=0), 0, atol=1e-4)


def test_counts_have_the_same_mean_and_zeros_as_counts_have(source, fitted):
    constant, minibatch = predicted(fitted(), source, 3)
    counts, _ = predicted(fitted(cells="counts"), source, 3)
    error = counts.std(axis=0) / np.sqrt(len(counts)) + 1e-3
    # where a constant is not cut off, which moves its mean
    free = (constant > 0).all(axis=0)
    assert np.mean(np.abs(counts.mean(axis=0) - constant.mean(axis=0))[free] < 2 * error[free]) > 0.9
    whole = np.expm1(counts.astype(np.float64)) * minibatch.library.numpy() / 1e4
    np.testing.assert_allclose(whole, whole.round(), atol=1e-2)


def test_counts_by_chance_need_counts(source):
    adata = simulated().adata
    adata.X = adata.X * 0.37
    real = open_data(adata, **KEYS)
    with pytest.raises(UnsuitableValues, match="counts"):
        fit(build("gp_response", real.schema, cells="counts"), real, progress=False)


def test_counts_by_chance_without_logarithms_are_refused_at_construction(source):
    with pytest.raises(OptionError, match=r"cells='counts' must come with transform='log_normalise'.*Choose cells="):
        build("gp_response", source.schema, cells="counts", transform="none")
