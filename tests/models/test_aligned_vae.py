"""The aligned VAE: what its loss is made of, who is used for what, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import DataError, OptionError, SchemaMismatch
from cellwright.metrics.label_transfer import transfer_accuracy
from cellwright.models.aligned_vae import AlignedVAE, AlignedVAEOptions
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.options import FitOptions

SMALL = {"n_latent": 4, "n_hidden": 16, "n_smooth": 3}
SHORT = FitOptions(max_epochs=2, batch_size=64, validation=0)
STEP = Step(10, NoiseKey(0, 0, 0))


def made(data, **options):
    return AlignedVAE(data.schema, AlignedVAEOptions(**{**SMALL, **options}))


def prepared(data, **options):
    model = made(data, **options)
    model.prepare(0, data, np.arange(data.n_obs), np.random.default_rng(0))
    return model.eval()


def all_of(data):
    return next(in_order(data, np.arange(data.n_obs)))


def test_a_cell_is_reconstructed_in_the_modality_that_it_has(unpaired):
    data = open_data(unpaired(20, 30).data)
    terms = prepared(data).loss(all_of(data), STEP).terms
    is_rna = torch.arange(50) < 20
    assert (terms["reconstruction_rna"] > 0).tolist() == is_rna.tolist()
    assert (terms["reconstruction_protein"] > 0).tolist() == (~is_rna).tolist()
    assert set(terms) == {"reconstruction_rna", "reconstruction_protein", "kl", "alignment"}


def test_linked_features_are_said_by_one_network_of_both_modalities(unpaired):
    cells = unpaired()
    data = open_data(cells.data)
    model = prepared(data, links=cells.links)
    terms = model.loss(all_of(data), STEP).terms
    with torch.no_grad():
        z, _ = model.posterior(all_of(data)).draw(STEP.noise.normal(all_of(data).rows, 4))
        said = model.says_linked(z)[:, :12]
    torch.testing.assert_close(terms["links"], (said - model.linked(all_of(data))).square().mean(dim=1))


def test_the_latent_has_length_one(unpaired):
    data = open_data(unpaired(20, 30).data)
    z = over_cells(prepared(data).encode, data)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)


def test_the_alignment_rises_over_the_first_epochs(unpaired):
    data = open_data(unpaired(20, 30).data)
    model = made(data, alignment="sinkhorn:weight=8", alignment_warmup_epochs=4)
    weights = [model.loss(all_of(data), Step(epoch, STEP.noise)).weights["alignment"] for epoch in (0, 1, 4, 9)]
    assert weights == [0, 2, 8, 8]


@pytest.mark.parametrize("name", ["adversarial", "mmd", "none", "sinkhorn"])
def test_every_alignment_trains_and_only_one_has_a_critic(unpaired, name):
    cells = unpaired(60, 50)
    data = open_data(cells.data)
    model = made(data, alignment=name, links=cells.links)
    fit(model, data, SHORT, progress=False)
    assert np.isfinite(over_cells(model.encode, data)).all()
    assert len(model.stages()[0]) == (2 if name == "adversarial" else 1)
    # an alignment is in the loss (an estimate of a discrepancy, so its sign is open), none is not
    new = made(data, alignment=name, links=cells.links)
    new.prepare(0, data, np.arange(data.n_obs), np.random.default_rng(0))
    cost = new.loss(all_of(data), STEP).terms["alignment"].mean().item()
    assert (cost == 0) == (name == "none")


def test_a_modality_with_one_cell_is_encoded_and_not_aligned(unpaired):
    data = open_data(unpaired(40, 1).data)
    model = made(data)
    fit(model, data, SHORT, progress=False)
    assert np.isfinite(over_cells(model.encode, data)).all()
    assert not model.loss(all_of(data), STEP).terms["alignment"].any()


def test_with_links_a_modality_with_one_cell_is_refused_in_one_sentence(unpaired):
    cells = unpaired(40, 1)
    data = open_data(cells.data)
    with pytest.raises(DataError, match=r"'protein' must have more training cells than the 3 components.*it has 1\."):
        fit(made(data, links=cells.links), data, SHORT, progress=False)


def test_links_of_nothing_are_one_sentence(unpaired, tmp_path):
    (tmp_path / "other.csv").write_text("modality_a,feature_a,modality_b,feature_b\nrna,CD3E,protein,CD3\n")
    data = open_data(unpaired().data)
    with pytest.raises(SchemaMismatch, match=r"none of 1 is \(the data lack CD3E, CD3\)"):
        fit(made(data, links=str(tmp_path / "other.csv")), data, SHORT, progress=False)


def test_repeated_links_change_nothing(unpaired, tmp_path):
    cells = unpaired(60, 50)
    lines = Path(cells.links).read_text().splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([*lines, *lines[1:]]))
    data = open_data(cells.data)
    once, twice = (prepared(data, links=links).linked for links in (cells.links, str(tmp_path / "twice.csv")))
    torch.testing.assert_close(once(all_of(data)), twice(all_of(data)))


def test_a_translation_is_that_of_the_own_latent_at_the_library_that_it_has(unpaired):
    cells = unpaired()
    data = open_data(cells.data)
    model = made(data, links=cells.links, learning_rate=5e-3)
    fit(model, data, FitOptions(max_epochs=40, batch_size=64, validation=0), progress=False)
    minibatch = all_of(data)
    found = model.translate(minibatch, "protein", torch.Generator())
    assert found[200:].isnan().all()  # cells with proteins alone have nothing to be translated from
    proteins = minibatch.views["protein"].dense()[200:]
    kinds = torch.from_numpy(cells.kinds)
    means, measured = (
        torch.stack([values[kinds[part] == kind].mean(dim=0) for kind in range(4)]).flatten()
        for values, part in ((found[:200], slice(200)), (proteins, slice(200, None)))
    )
    assert torch.corrcoef(torch.stack([means.log(), measured.log()]))[0, 1] > 0.9


def test_new_cells_of_one_modality_have_a_place(unpaired):
    cells = unpaired(60, 50)
    data = open_data(cells.data)
    model = made(data, links=cells.links)
    fit(model, data, SHORT, progress=False)
    alone = open_data({"protein": cells.data["protein"]}, schema=model.schema)
    np.testing.assert_allclose(over_cells(model.encode, alone), over_cells(model.encode, data)[60:], atol=1e-5)


def test_one_modality_is_refused(unpaired):
    data = open_data(unpaired().data, modality="rna")
    with pytest.raises(OptionError, match="AlignedVAE relates modalities to each other; the data have 'rna' alone"):
        fit(made(data), data, SHORT, progress=False)


@pytest.mark.parametrize("options", [{}, {"alignment": "mmd", "links": "links.csv"}])
def test_kinds_need_links_and_an_alignment_that_weighs_cells(unpaired, options):
    with pytest.raises(OptionError, match="n_kinds of AlignedVAE must be 0 without links"):
        made(open_data(unpaired().data), n_kinds=4, **options)


def test_each_modality_has_the_values_of_its_likelihood(unpaired):
    model = made(open_data(unpaired().data), likelihoods={"protein": "gaussian"})
    assert (model.support_in("rna"), model.support_in("protein")) == (Support.counts, Support.real)


def test_the_weight_of_a_cell_is_that_of_its_kind(unpaired):
    cells = unpaired(200, 60)
    data = open_data(cells.data)
    model = prepared(data, links=cells.links, n_kinds=4)
    minibatch = all_of(data)
    weight = model.alignment_weight(minibatch)
    is_rna = minibatch.present[:, 0]
    shares = [
        [
            weight[is_rna == side][torch.from_numpy(cells.kinds)[is_rna == side] == kind].sum().item()
            for kind in range(4)
        ]
        for side in (True, False)
    ]
    rna, protein = (np.array(of) / sum(of) for of in shares)
    np.testing.assert_allclose(rna, protein, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("alignment", ["adversarial", "sinkhorn"])
def test_labels_go_from_one_modality_to_the_other_over_cells_that_have_nothing_in_common(unpaired, alignment):
    cells = unpaired(400, 320)
    data = open_data(cells.data)
    model = made(data, links=cells.links, alignment=alignment, learning_rate=5e-3)
    fit(model, data, FitOptions(max_epochs=40, batch_size=64, validation=0), progress=False)
    z, is_rna, kinds = over_cells(model.encode, data), data.measured("rna"), cells.kinds.astype(str)
    assert transfer_accuracy(z[is_rna], kinds[is_rna], z[~is_rna], kinds[~is_rna]) > 0.9
    assert transfer_accuracy(z[~is_rna], kinds[~is_rna], z[is_rna], kinds[is_rna]) > 0.9
