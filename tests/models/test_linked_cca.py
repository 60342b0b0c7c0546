"""Linked features and their canonical correlation: against NumPy's singular vectors, and on planted kinds."""

import numpy as np
import pytest
import torch

from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import DataError, OptionError, SchemaMismatch
from cellwright.metrics.label_transfer import transfer_accuracy
from cellwright.models.linked_cca import LinkedCCA, LinkedCCAOptions
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.options import FitOptions

ALL = FitOptions(validation=0)


def fitted(cells, **options):
    data = open_data(cells.data)
    model = LinkedCCA(data.schema, LinkedCCAOptions(links=cells.links, **{"n_smooth": 5, **options}))
    fit(model, data, ALL, progress=False)
    return model, data


def latent_of(model, data):
    return over_cells(model.encode, data)


def linked_of(model, data):
    return over_cells(model.linked, data).astype(float)


@pytest.mark.parametrize("n_smooth", [0, 5])
def test_linked_features_are_standardised_in_each_modality(unpaired, n_smooth):
    model, data = fitted(unpaired(), n_smooth=n_smooth)
    for modality in data.schema.modalities:
        features = linked_of(model, data)[data.measured(modality)]
        np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(features.std(axis=0), 1, atol=1e-4)


def test_the_latent_is_that_of_the_singular_vectors_of_all_products_of_cells(unpaired):
    model, data = fitted(unpaired(60, 50), n_latent=3)
    features, is_first = linked_of(model, data), data.measured("rna")
    left, values, right = np.linalg.svd(features[is_first] @ features[~is_first].T)
    expected = np.concatenate([left[:, :3] * values[:3], right[:3].T * values[:3]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = latent_of(model, data)
    # the sign of a singular vector is not determined, but it is one for both sides
    np.testing.assert_allclose(found * np.sign(found[0]), expected * np.sign(expected[0]), atol=2e-3)


def test_without_directions_they_are_the_linked_features_at_length_one(unpaired):
    model, data = fitted(unpaired(), canonical=False)
    features = linked_of(model, data)
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(latent_of(model, data), expected, atol=1e-5)


@pytest.mark.parametrize("canonical", [True, False])
def test_labels_go_from_one_modality_to_the_other_over_cells_that_have_nothing_in_common(unpaired, canonical):
    cells = unpaired()
    model, data = fitted(cells, canonical=canonical)
    z, is_first = latent_of(model, data), data.measured("rna")
    kinds = cells.kinds.astype(str)
    assert transfer_accuracy(z[is_first], kinds[is_first], z[~is_first], kinds[~is_first]) > 0.9
    assert transfer_accuracy(z[~is_first], kinds[~is_first], z[is_first], kinds[is_first]) > 0.9


def test_new_cells_are_placed_as_the_same_training_cells_were(unpaired):
    cells = unpaired()
    model, data = fitted(cells)
    again = open_data(cells.data[::-1].copy(), schema=model.schema)
    np.testing.assert_allclose(latent_of(model, again), latent_of(model, data)[::-1], atol=1e-5)


def test_of_a_cell_with_both_modalities_the_linked_features_are_the_mean(unpaired):
    model, data = fitted(unpaired())
    minibatch = next(in_order(data, np.arange(200, 201)))
    rna = next(in_order(data, np.arange(1))).views["rna"]
    with torch.no_grad():
        alone = model.linked(minibatch), model.linked(next(in_order(data, np.arange(1))))
        both = type(minibatch)(
            **{**vars(minibatch), "views": {**minibatch.views, "rna": rna}, "present": torch.ones(1, 2).bool()}
        )
        torch.testing.assert_close(model.linked(both), (alone[0] + alone[1]) / 2)


def test_it_needs_links(unpaired):
    data = open_data(unpaired().data)
    with pytest.raises(OptionError, match="LinkedCCA must have feature links"):
        fit(LinkedCCA(data.schema), data, progress=False)


def test_links_of_nothing_are_one_sentence(unpaired, tmp_path):
    cells = unpaired()
    (tmp_path / "other.csv").write_text("modality_a,feature_a,modality_b,feature_b\nrna,CD3E,protein,CD3\n")
    with pytest.raises(SchemaMismatch, match=r"none of 1 is \(the data lack CD3E, CD3\)"):
        fitted(cells._replace(links=str(tmp_path / "other.csv")))


def test_one_modality_is_refused(unpaired):
    data = open_data(unpaired().data, modality="rna")
    with pytest.raises(OptionError, match="LinkedCCA relates modalities to each other; the data have 'rna' alone"):
        fit(LinkedCCA(data.schema), data, ALL, progress=False)


def test_a_modality_with_one_cell_is_refused_in_one_sentence(unpaired):
    with pytest.raises(DataError, match=r"'protein' must have more training cells than the 5 components.*it has 1"):
        fitted(unpaired(30, 1))


def test_real_values_are_taken_as_they_are(unpaired):
    schema = open_data(unpaired().data).schema
    model = LinkedCCA(schema, LinkedCCAOptions(real_valued=("protein",)))
    assert (model.support_in("rna"), model.support_in("protein")) == (Support.non_negative, Support.real)


def test_a_panel_is_compared_with_its_own_mean_logarithm(unpaired):
    cells = unpaired()
    (panel, data), (counts, _) = fitted(cells, n_smooth=0), fitted(cells, n_smooth=0, panels=())
    logs = np.log1p(cells.data["protein"].X)
    ratios = logs - logs.mean(axis=1, keepdims=True)
    expected = (ratios - ratios.mean(axis=0)) / ratios.std(axis=0)
    is_protein = data.measured("protein")
    np.testing.assert_allclose(linked_of(panel, data)[is_protein], expected, atol=1e-3)
    assert np.abs(linked_of(counts, data)[is_protein] - expected).max() > 0.1
