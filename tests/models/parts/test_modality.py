"""A modality's network sees the cells that have it as a model of that modality alone would, and no others."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.likelihoods import Gaussian, NegativeBinomial
from cellwright.models.parts.modality import AT_LEAST_IN_TRAINING, Measured, ModalityNetwork
from cellwright.nn.mlp import Hidden


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    rna = AnnData(rng.poisson(2, (12, 6)).astype(np.float32))
    protein = AnnData(rng.normal(size=(12, 3)).astype(np.float32))
    rna.obs_names = protein.obs_names = [f"cell{i}" for i in range(12)]
    return open_data({"rna": rna[3:].copy(), "protein": protein[:7].copy()})


def network(source, modality, likelihood):
    torch.manual_seed(0)
    hidden = Hidden(8, 1)
    return ModalityNetwork(
        source.schema.of(modality), 4, 2, likelihood=likelihood, hidden=hidden, decoder_hidden=hidden
    )


@pytest.mark.parametrize(("modality", "likelihood"), [("rna", NegativeBinomial()), ("protein", Gaussian())])
def test_measured_cells_are_those_of_a_source_of_this_modality_and_others_are_zero(source, modality, likelihood):
    minibatch = next(in_order(source))
    measured = Measured.of(minibatch, modality)
    there = source.measured(modality)
    np.testing.assert_array_equal(measured.mask, there)
    np.testing.assert_array_equal(measured.at, np.flatnonzero(there))
    alone = next(in_order(source.of(modality), np.flatnonzero(there)))
    assert torch.equal(measured.cells.x.dense(), alone.x.dense())
    part = network(source, modality, likelihood).eval()
    encoded = part.encode(measured)
    torch.testing.assert_close(encoded[there], part.encoder(part.encoder.inputs(alone), alone))
    assert not encoded[~there].any()
    latent = torch.randn(12, 2)
    log_prob = part.log_prob(latent, measured)
    torch.testing.assert_close(log_prob[there], part.decoder.log_prob(latent[there], alone))
    assert not log_prob[~there].any()


def test_counts_are_read_as_logarithms_and_real_values_as_they_are(source):
    assert network(source, "rna", NegativeBinomial()).encoder.transform == "log1p"
    assert network(source, "protein", Gaussian()).encoder.transform == "none"


@pytest.mark.parametrize("n_measured", [0, 1])
def test_a_step_of_training_with_fewer_than_two_cells_leaves_them_out(source, n_measured):
    """Batch normalisation has no use for one cell; an evaluation has no such limit."""
    without = np.flatnonzero(~source.measured("rna"))
    minibatch = next(in_order(source, np.concatenate([np.arange(n_measured), without])))
    part = network(source, "rna", NegativeBinomial())
    few = Measured.of(minibatch, "rna", at_least=AT_LEAST_IN_TRAINING)
    assert len(few.at) == 0
    assert not few.mask.any()  # it is no expert either
    assert not part.train().encode(few).any()
    assert not part.log_prob(torch.zeros(len(minibatch.rows), 2), few).any()
    measured = Measured.of(minibatch, "rna")
    assert len(measured.at) == n_measured
    assert bool(part.eval().encode(measured).any()) == bool(n_measured)
