"""Added cells raise rare classes to the target, come from training cells alone, and leave all other cells alone."""

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.balance import Over, Smote
from cellwright.data.open import open_data
from cellwright.data.prepare import Prepared
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import stratified_split
from cellwright.models import build
from cellwright.study.augment_cells import lack_of, with_copies, with_generated, with_smote
from cellwright.tasks.generate import generate
from cellwright.train.fit import fit

TARGET = 40


@pytest.fixture(scope="module", params=["sparse", "dense"])
def cells(request):
    """Classes of some 60, 26, 11, 3 and 1 training cells, in two batches."""
    shares = (120, 52, 24, 6, 2)
    adata = simulate(SimulateOptions(n_obs=sum(shares), n_vars=30, n_batch=2, label_shares=shares), seed=0).adata
    if request.param == "dense":
        adata.X = adata.X.toarray()
    source = open_data(adata, label_key="label", batch_key="batch")
    return Prepared(source, stratified_split(source.annotation.label, validation=0.15, test=0.35, seed=0))


@pytest.fixture(scope="module")
def lack(cells):
    return lack_of(cells, TARGET)


def rng():
    return np.random.default_rng(0)


def sizes(wider):
    return np.bincount(wider.source.annotation.label[wider.split.train], minlength=5)


def widened(cells, lack):
    model = build("nb_by_label", cells.source.schema)
    fit(model, cells.source, split=cells.split, progress=False)
    made = generate(model, labels=lack.by_name(lack.n_new), seed=0)
    return {
        "over": with_copies(cells, TARGET, Over(), rng()),
        "smote": with_smote(cells, lack, Smote(), rng()),
        "generated": with_generated(cells, made, rng()),
    }


def dense(values):
    return values.toarray() if sparse.issparse(values) else values


def test_a_class_is_rare_below_the_target_of_training_cells(cells, lack):
    trained = np.bincount(cells.source.annotation.label[cells.split.train], minlength=5)
    assert lack.n_cells == {code: n for code, n in enumerate(trained) if n < TARGET}
    assert all(n + lack.n_new[code] == TARGET for code, n in lack.n_cells.items())
    assert lack.by_name(lack.n_new) == {cells.source.schema.label.values[code]: n for code, n in lack.n_new.items()}


@pytest.mark.parametrize("remedy", ["over", "smote", "generated"])
def test_every_remedy_raises_the_same_classes_to_the_target(cells, lack, remedy):
    wider = widened(cells, lack)[remedy]
    before = np.bincount(cells.source.annotation.label[cells.split.train], minlength=5)
    assert sizes(wider).tolist() == [max(n, TARGET) if n else 0 for n in before]
    for part in ("validation", "test"):
        assert np.array_equal(getattr(wider.split, part), getattr(cells.split, part))
    every, own = (dense(each.read("X", np.arange(cells.source.n_obs))) for each in (wider.source, cells.source))
    np.testing.assert_array_equal(every, own)
    new = dense(wider.source.read("X", np.arange(cells.source.n_obs, wider.source.n_obs)))
    assert (new == new.round()).all()
    assert (new.sum(axis=1) > 0).all()


def test_copies_are_training_cells_of_their_class(cells, lack):
    wider = widened(cells, lack)["over"]
    new = np.arange(cells.source.n_obs, wider.source.n_obs)
    values, labels = dense(wider.source.read("X", new)), wider.source.annotation.label[new]
    train = cells.split.train
    known = {
        (label, tuple(row))
        for label, row in zip(
            cells.source.annotation.label[train], dense(cells.source.read("X", train)).tolist(), strict=True
        )
    }
    assert {(label, tuple(row)) for label, row in zip(labels, values.tolist(), strict=True)} <= known


def test_a_class_too_small_for_smote_has_fewer_neighbours_and_says_so(cells, lack):
    wider = widened(cells, lack)["smote"]
    annotation, train = cells.source.annotation, cells.split.train
    for code, name in lack.names.items():
        kinds = np.bincount(annotation.batch[train[annotation.label[train] == code]], minlength=1)
        expected = max(kinds) - 1 if code in lack.n_new and max(kinds) <= 5 else None
        assert wider.notes["fewer_neighbours"].get(name) == expected
    assert 0 in wider.notes["fewer_neighbours"].values()


def test_generated_cells_are_annotated_like_training_cells_of_their_kind(cells, lack):
    model = build("nb_by_label", cells.source.schema)
    fit(model, cells.source, split=cells.split, progress=False)
    made = generate(model, labels=lack.by_name(lack.n_new), seed=0)
    wider = with_generated(cells, made, rng())
    obs = wider.source.annotation.obs.iloc[cells.source.n_obs :]
    for key in ("label", "batch"):
        assert obs[key].astype(str).tolist() == made.obs[key].astype(str).tolist()


def test_held_out_cells_change_no_added_cell(cells, lack):
    others = np.concatenate([cells.split.validation, cells.split.test])
    values = dense(cells.source.read("X", np.arange(cells.source.n_obs))).copy()
    values[others] = values[others][::-1] * 3 + 1
    form = sparse.csr_matrix if sparse.issparse(cells.source.read("X", np.arange(2))) else np.asarray
    adata = AnnData(form(values), obs=cells.source.annotation.obs, var={"n": range(30)})
    adata.var_names = list(cells.source.schema.var_names)
    changed = Prepared(open_data(adata, label_key="label", batch_key="batch"), cells.split)
    before, after = widened(cells, lack), widened(changed, lack)
    for name, wider in before.items():
        new = np.arange(cells.source.n_obs, wider.source.n_obs)
        np.testing.assert_array_equal(dense(wider.source.read("X", new)), dense(after[name].source.read("X", new)))
