"""What a cell lacks counts for nothing; each modality has its likelihood; planted kinds are found from either side."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.errors import OptionError, UnsuitableValues
from cellwright.likelihoods import Gaussian, NegativeBinomial
from cellwright.models import build
from cellwright.models.multimodal_vae import likelihood_of_each
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.options import FitOptions

N = 300
SMALL = {"n_latent": 3, "n_hidden": 16}
SHORT = FitOptions(max_epochs=3, validation=0.2, batch_size=64)


def parts(protein="counts"):
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=N)
    rates = rng.gamma(1.0, 4.0, (3, 20))
    rna = AnnData(sparse.csr_matrix(rng.poisson(rates[kind]).astype(np.float32)))
    if protein == "counts":
        second = rng.poisson(rng.gamma(1.0, 30.0, (3, 6))[kind] + 5)
    else:
        second = rng.normal(size=(3, 6))[kind] + 0.3 * rng.normal(size=(N, 6))
    made = {"rna": rna, "protein": AnnData(second.astype(np.float32))}
    for part in made.values():
        part.obs_names = [f"cell{i}" for i in range(N)]
        part.obs["kind"] = kind.astype(str)
        part.obs["batch"] = np.where(np.arange(N) % 2, "b1", "b2")
    return made


def mosaic(**keys):
    """The first batch of cells has RNA only, the last proteins only."""
    both = parts()
    return open_data({"rna": both["rna"][:200].copy(), "protein": both["protein"][100:].copy()}, **keys)


def test_every_modality_that_no_likelihood_is_given_for_is_negative_binomial():
    schema = mosaic().schema
    assert likelihood_of_each(schema, {"protein": Gaussian()}) == {"rna": NegativeBinomial(), "protein": Gaussian()}
    with pytest.raises(OptionError, match=r"there is one of 'proteins'\. Did you mean 'protein'\? Name one of them"):
        build("multimodal_vae", schema, likelihoods={"proteins": "gaussian"})


def test_a_weight_of_what_is_no_modality_is_refused():
    with pytest.raises(OptionError, match=r"modality_weights must be .* one of 'ran'\. Did you mean 'rna'\? Name one"):
        build("multimodal_vae", mosaic().schema, modality_weights="ran=2,protein=3")


def test_values_are_checked_by_modality():
    source = open_data(parts(protein="real"))
    with pytest.raises(UnsuitableValues, match=r"'protein'.*needs non-negative integers"):
        fit(build("multimodal_vae", source.schema, **SMALL), source, SHORT, progress=False)
    model = build("multimodal_vae", source.schema, likelihoods="protein=gaussian", **SMALL)
    history = fit(model, source, SHORT, progress=False)
    assert np.isfinite(history.table["value"]).all()


@pytest.mark.parametrize("fusion", ["product", "mixture"])
def test_the_values_of_an_absent_modality_change_nothing(fusion):
    source = mosaic()
    model = build("multimodal_vae", source.schema, fusion=fusion, **SMALL).eval()
    minibatch = next(in_order(source, np.arange(100), 100))  # RNA only
    views = dict(minibatch.views)
    views["protein"] = views["protein"].map(lambda values: values + 7)
    other = replace(minibatch, views=views)
    assert torch.equal(model.encode(minibatch), model.encode(other))
    first, second = (model.negative_elbo(cells, Step.evaluation(0)).terms for cells in (minibatch, other))
    for name, term in first.items():
        assert torch.equal(term, second[name])
    assert not first["reconstruction_protein"].any()
    assert first["reconstruction_rna"].all()


def test_the_loss_of_a_cell_is_minus_the_sum_of_its_log_probabilities_and_the_divergence():
    source = open_data(parts())
    model = build("multimodal_vae", source.schema, modality_dropout=0.0, **SMALL).eval()
    minibatch, step = next(in_order(source, np.arange(50))), Step.evaluation(0)
    loss = model.negative_elbo(minibatch, step)
    q = model.posterior(minibatch)
    z, kl = q.draw(step.noise.normal(minibatch.rows, 3))
    total = kl
    for name in ("rna", "protein"):
        total = total - model._network(name).decoder.log_prob(z, minibatch.of(name))
    torch.testing.assert_close(loss.per_cell, total)


def test_weights_of_modalities_count_their_terms_of_the_loss_and_change_none():
    source = open_data(parts())
    minibatch, step = next(in_order(source, np.arange(50))), Step.evaluation(0)
    losses = []
    for weights in ({}, {"rna": 0.25, "protein": 3.0}):
        torch.manual_seed(0)
        model = build("multimodal_vae", source.schema, modality_weights=weights, **SMALL).eval()
        losses.append(model.negative_elbo(minibatch, step))
    plain, weighted = losses
    terms = plain.terms
    assert all(torch.equal(weighted.terms[name], term) for name, term in terms.items())
    expected = 0.25 * terms["reconstruction_rna"] + 3 * terms["reconstruction_protein"] + terms["kl"]
    torch.testing.assert_close(weighted.per_cell, expected)


def test_a_share_of_the_steps_hears_one_modality():
    source = open_data(parts())
    model = build("multimodal_vae", source.schema, modality_dropout=0.3, **SMALL)
    minibatch = next(in_order(source))
    experts = model.experts(minibatch)
    n_heard = torch.cat([model._heard(experts, minibatch, Step.evaluation(i)).sum(dim=1) for i in range(40)])
    assert set(n_heard.tolist()) == {1, 2}
    assert (n_heard == 1).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_a_batch_in_which_a_modality_was_never_measured_is_translated_as_the_average_of_the_others():
    both = parts()
    source = open_data(
        {"rna": both["rna"], "protein": both["protein"][both["protein"].obs["batch"] == "b1"].copy()}, batch_key="batch"
    )
    model = build("multimodal_vae", source.schema, **SMALL)
    fit(model, source, SHORT, progress=False)
    rows = np.flatnonzero(source.annotation.obs["batch"] == "b2")
    minibatch = next(in_order(source, rows))
    as_first = replace(minibatch, batch=torch.full_like(minibatch.batch, source.schema.batch.values.index("b1")))
    found, same = (model.translate(m, "protein", torch.Generator().manual_seed(0)) for m in (minibatch, as_first))
    torch.testing.assert_close(found, same)


def test_planted_kinds_are_told_apart_from_either_modality_in_one_latent():
    """Cells with RNA only find their kind among cells with proteins only: the latent is one."""
    source = mosaic(label_key="kind")
    model = build("multimodal_vae", source.schema, learning_rate=5e-3, **SMALL)
    fit(model, source, FitOptions(max_epochs=20, validation=0, batch_size=32, seed=0), progress=False)
    latent, kind = over_cells(model.encode, source), source.annotation.label
    rna_only, protein_only = ~source.measured("protein"), ~source.measured("rna")
    distances = ((latent[rna_only][:, None] - latent[protein_only][None]) ** 2).sum(axis=2)
    found = kind[protein_only][distances.argmin(axis=1)]
    assert (found == kind[rna_only]).mean() > 0.9


@pytest.mark.filterwarnings("ignore:no training cell has two")  # true of some splits here
def test_a_modality_without_any_training_cell_and_one_with_a_single_one_are_no_obstacle():
    both = parts()
    for n_protein in (1, 2):
        source = open_data({"rna": both["rna"], "protein": both["protein"][:n_protein].copy()})
        model = build("multimodal_vae", source.schema, **SMALL)
        split = random_split(N, validation=0.5, seed=0)
        history = fit(model, source, SHORT, split=split, progress=False)
        assert np.isfinite(history.table["value"]).all()
        assert np.isfinite(over_cells(model.encode, source)).all()


def test_modalities_without_a_cell_in_common_are_warned_of():
    """A suffix of the barcodes in one of two files is enough for that."""
    both = parts()
    both["protein"].obs_names = [f"{name}-1" for name in both["protein"].obs_names]
    source = open_data(both)
    with pytest.warns(UserWarning, match="no training cell has two of the modalities rna, protein"):
        fit(build("multimodal_vae", source.schema, **SMALL), source, SHORT, progress=False)


def test_a_mixture_has_no_share_of_steps_with_one_modality():
    with pytest.raises(OptionError, match="modality_dropout of MultimodalVAEOptions must be left out for fusion"):
        build("multimodal_vae", mosaic().schema, fusion="mixture", modality_dropout=0.2)
