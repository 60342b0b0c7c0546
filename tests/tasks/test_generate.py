"""New cells have the labels and batches that were asked for; scores compare like with like."""

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import Split, random_split
from cellwright.errors import AbilityError, DataError, OptionError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.models import build
from cellwright.tasks import generate as module
from cellwright.tasks.generate import SCORES, generate, score_generation
from cellwright.train.fit import fit

KEYS = {"label_key": "label", "batch_key": "batch"}
SPLIT = random_split(300, validation=0, test=0.3, seed=0)


@pytest.fixture(scope="module")
def cells():
    """Labels of 60, 30 and 10 %; batch 1 has no cell of the last."""
    adata = simulate(SimulateOptions(n_obs=300, n_vars=40, label_shares=(0.6, 0.3, 0.1)), seed=0).adata
    batch = np.where((adata.obs["label"] == adata.obs["label"].cat.categories[2]) | (np.arange(300) % 3 == 0), "a", "b")
    adata.obs["batch"] = batch
    return adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, **KEYS)


def fitted(name, data, split=SPLIT):
    model = build(name, data.schema)
    fit(model, data, split=split, progress=False)
    return model


@pytest.fixture(scope="module")
def model(data):
    return fitted("real_cells", data)


def counts(made, key="label"):
    return {name: n for name, n in made.obs[key].value_counts().items() if n}


def names(model, key="label"):
    return getattr(model.schema, key).values


def only_labels(codes):
    """Codes of label, batch and condition, the last two left open."""
    return np.stack([codes, np.full(len(codes), -1), np.full(len(codes), -1)], axis=1)


def test_without_wishes_labels_and_their_batches_come_in_the_proportions_of_the_training_cells(cells, model):
    train = cells.obs.iloc[SPLIT.train]
    made = generate(model, 1000)
    for name, n in counts(made).items():
        share = (train["label"] == name).mean()
        assert abs(n - 1000 * share) < 1
        of_label = made.obs["batch"][made.obs["label"] == name]
        assert abs((of_label == "a").sum() - n * (train["batch"][train["label"] == name] == "a").mean()) < 1


def test_the_cells_are_counts_of_their_label_and_batch_and_say_what_made_them(cells, model):
    made = generate(model, 50, seed=7)
    assert isinstance(made.X, sparse.csr_matrix)
    assert made.X.dtype == np.float32
    assert made.var_names.tolist() == cells.var_names.tolist()
    assert made.obs_names.is_unique
    assert set(made.obs["generated"]) == {"real_cells"}
    assert (made.uns["cellwright"]["model"], made.uns["cellwright"]["seed"]) == ("real_cells", 7)
    kinds = {
        (tuple(row), label, batch)
        for row, label, batch in zip(cells.X.toarray().tolist(), cells.obs["label"], cells.obs["batch"], strict=True)
    }
    for row, label, batch in zip(made.X.toarray().tolist(), made.obs["label"], made.obs["batch"], strict=True):
        assert (tuple(row), label, batch) in kinds


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        pytest.param({"labels": {0: 5, 2: 7}}, {(0, "ab"): 5, (2, "a"): 7}, id="counts by label"),
        pytest.param({"n_obs": 6, "labels": 1}, {(1, "ab"): 6}, id="one label"),
        pytest.param({"n_obs": 4, "labels": 1, "batches": "b"}, {(1, "b"): 4}, id="one label of one batch"),
        pytest.param({"labels": {0: 3, 1: 2}, "batches": "a"}, {(0, "a"): 3, (1, "a"): 2}, id="labels of a batch"),
        pytest.param({"labels": 0, "batches": {"a": 1, "b": 2}}, {(0, "a"): 1, (0, "b"): 2}, id="batches of a label"),
    ],
)
def test_as_many_as_asked_for_of_each(model, asked, wanted):
    known = names(model)
    labels = asked["labels"]
    spelled = {known[code]: n for code, n in labels.items()} if isinstance(labels, dict) else known[labels]
    made = generate(model, **{**asked, "labels": spelled})
    for (label, batches), n in wanted.items():
        of_kind = (made.obs["label"] == known[label]) & made.obs["batch"].isin(list(batches))
        assert of_kind.sum() == n
    assert made.n_obs == sum(wanted.values())


def test_a_batch_without_wishes_for_labels_has_the_labels_of_its_training_cells(model):
    made = generate(model, 200, batches="b")
    assert set(made.obs["batch"]) == {"b"}
    assert set(counts(made)) == set(names(model)[:2])


@pytest.fixture(scope="module")
def treated(cells):
    """A third of the cells is treated, but none of the rarest label; a model that hands them out."""
    adata = cells.copy()
    rare = adata.obs["label"] == adata.obs["label"].cat.categories[2]
    adata.obs["treatment"] = np.where((np.arange(300) % 3 == 1) & ~rare, "drug", "none")
    return adata, fitted("real_cells", open_data(adata, **KEYS, condition_key="treatment"))


def test_without_wishes_conditions_come_in_the_proportions_of_label_and_batch(treated):
    adata, model = treated
    made = generate(model, 1000).obs
    train = adata.obs.iloc[SPLIT.train]
    for kind, of_kind in made.groupby(["label", "batch"], observed=True):
        share = (train.set_index(["label", "batch"]).loc[[kind], "treatment"] == "drug").mean()
        assert abs((of_kind["treatment"] == "drug").sum() - share * len(of_kind)) < 1


def test_cells_of_a_label_under_a_condition_are_of_both(treated):
    adata, model = treated
    label = names(model)[0]
    made = generate(model, 40, labels=label, conditions="drug")
    assert set(made.obs["treatment"]) == {"drug"}
    assert made.obs["treatment"].cat.categories.tolist() == ["drug", "none"]
    real = adata[(adata.obs["label"] == label) & (adata.obs["treatment"] == "drug")].X.toarray()
    assert {tuple(row) for row in made.X.toarray()} <= {tuple(row) for row in real}


def test_counts_of_conditions_of_a_label_are_kept(treated):
    _, model = treated
    made = generate(model, labels=names(model)[1], conditions={"drug": 3, "none": 8})
    assert counts(made, "treatment") == {"none": 8, "drug": 3}
    with pytest.raises(OptionError, match="more than one of these"):
        generate(model, labels={names(model)[0]: 5, names(model)[1]: 6}, conditions={"drug": 3, "none": 8})


def test_a_label_under_a_condition_that_it_never_had_is_refused(treated):
    _, model = treated
    with pytest.raises(DataError, match=r"no training cell has label '.*' and treatment 'drug'"):
        generate(model, 5, labels=names(model)[2], conditions="drug")


def test_scores_compare_cells_of_the_same_condition(treated, cells, data):
    """Without treated cells among the training cells of a label its treated cells are left out."""
    adata, _ = treated
    source = open_data(adata, **KEYS, condition_key="treatment")
    of_first = (source.annotation.label == 0) & (source.annotation.condition == 0)
    train, aside = SPLIT.train[~of_first[SPLIT.train]], SPLIT.train[of_first[SPLIT.train]]
    split = Split(train, aside, SPLIT.test)
    model = fitted("real_cells", source, split)
    rest = SPLIT.test[~of_first[SPLIT.test]]
    whole, kept = (score_generation(model, source, rows, held_out=True) for rows in (SPLIT.test, rest))
    assert whole.equals(kept)
    assert len(kept)


def test_the_same_seed_gives_the_same_cells_and_another_others(data):
    model = fitted("nb_by_label", data)
    first, again, other = (generate(model, 30, seed=seed).X.toarray() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_cells_are_made_a_block_at_a_time(model, monkeypatch):
    sizes = []
    made_by = type(model).generate
    monkeypatch.setattr(
        type(model), "generate", lambda self, wanted, rng: sizes.append(len(wanted.label)) or made_by(self, wanted, rng)
    )
    assert generate(model, 2 * module.BLOCK_ROWS + 20).n_obs == 2 * module.BLOCK_ROWS + 20
    assert sizes == [module.BLOCK_ROWS, module.BLOCK_ROWS, 20]


def test_without_labels_and_batches_there_are_only_cells(cells):
    model = fitted("nb_by_label", open_data(cells))
    made = generate(model, 20)
    assert made.shape == (20, 40)
    assert made.obs.columns.tolist() == ["generated"]
    with pytest.raises(OptionError, match="labels of generate cannot be chosen: the model was trained without any"):
        generate(model, 20, labels="label_0")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param({"n_obs": 5, "labels": "lable"}, r"'lable' is none", id="unknown label"),
        pytest.param(
            {"n_obs": 5, "batches": "c"}, r"batches of generate must be values of 'batch': a, b; 'c'", id="batch"
        ),
        pytest.param({}, "they say nothing", id="no number"),
        pytest.param({"n_obs": 0}, "1 or more; they say 0", id="zero"),
        pytest.param({"n_obs": 5, "batches": {"a": 3}}, "they say 3 and 5", id="two numbers"),
        pytest.param({"batches": {"a": 3, "b": -1}}, "that of 'b' is -1", id="negative count"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_sentence(model, asked, said):
    with pytest.raises(OptionError, match=said):
        generate(model, **asked)


def test_an_unknown_label_is_answered_with_the_nearest(model):
    nearly = names(model)[0] + "_"
    with pytest.raises(OptionError, match=f"Did you mean '{names(model)[0]}'"):
        generate(model, 5, labels=nearly)


def test_a_kind_that_no_training_cell_has_is_refused(model):
    with pytest.raises(DataError, match="no training cell has label"):
        generate(model, 5, labels=names(model)[2], batches="b")


def test_a_model_that_does_not_generate_or_was_not_trained_is_refused(data):
    with pytest.raises(AbilityError, match=r"pca cannot do `generate`.*nb_by_label"):
        generate(build("pca", data.schema), 5)
    with pytest.raises(DataError, match="must have a fitted model"):
        generate(build("real_cells", data.schema), 5)


def test_real_cells_scored_on_the_cells_that_they_are_find_no_difference(data):
    """Each training cell is handed out once, so both sides are the same cells."""
    everything = Split(np.arange(300), np.arange(0), np.arange(0))
    table = score_generation(fitted("real_cells", data, everything), data, everything.train, held_out=False)
    overall = table[table["group"] == ""].set_index("metric")["value"]
    assert overall.to_dict() == pytest.approx({"c2st": 0.5, "mmd": 0, "variance_error": 0, "correlation_error": 0})


def test_scores_are_the_metrics_of_log_normalised_values_overall_and_per_label(data, cells, model):
    table = score_generation(model, data, SPLIT.test, held_out=True, seed=3)
    assert list(dict.fromkeys(table["metric"])) == list(SCORES)
    assert set(table["task"]) == {METRICS[name].task for name in SCORES} == {"generate"}
    assert set(table["group"]) == {"", *names(model)}
    assert table["held_out"].all()
    values = cells.X[SPLIT.test].toarray()
    real = np.log1p(values * 1e4 / values.sum(axis=1, keepdims=True))
    codes = data.annotation.label[SPLIT.test]
    made = module._drawn(model, only_labels(codes), 3).toarray()
    generated = np.log1p(made * 1e4 / made.sum(axis=1, keepdims=True))
    for name, group in (("", codes >= 0), (names(model)[1], codes == 1)):
        found = table[table["group"] == name].set_index("metric")["value"]
        for metric in ("mmd", "variance_error", "correlation_error"):
            expected = METRICS[metric].function(real[group], generated[group])
            assert found[metric] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_generated_cells_of_another_label_are_found_out(cells, data):
    """Labels that were mixed up leave all cells as they are, and no label."""
    mixed = cells.copy()
    mixed.obs["label"] = mixed.obs["label"].astype(str).sample(frac=1, random_state=0).to_numpy()
    right, wrong = (
        score_generation(fitted("real_cells", source), data, SPLIT.test, held_out=True)
        .query("metric == 'mmd'")
        .set_index("group")["value"]
        for source in (data, open_data(mixed, **KEYS))
    )
    largest = names(fitted("real_cells", data))[0]
    assert wrong[largest] > right[largest] + 0.01


def test_a_label_that_no_training_cell_had_is_left_out(cells, data):
    rare = np.flatnonzero(data.annotation.label == 2)
    split = Split(
        np.setdiff1d(np.arange(300), np.union1d(rare, SPLIT.test)), np.arange(0), np.union1d(rare, SPLIT.test)
    )
    model = fitted("nb_by_label", data, split)
    table = score_generation(model, data, split.test, held_out=True)
    assert set(table["group"]) == {"", *names(model)[:2]}


def test_of_many_cells_a_seeded_sample_is_scored(model, data, monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_CELLS", 40)
    first, again, other = (score_generation(model, data, SPLIT.test, held_out=True, seed=seed) for seed in (0, 0, 1))
    assert first["value"].tolist() == pytest.approx(again["value"].tolist(), nan_ok=True)
    assert first["value"].tolist() != pytest.approx(other["value"].tolist(), nan_ok=True)


def test_real_values_are_compared_as_they_are(cells):
    values = np.random.default_rng(0).normal(size=(300, 10)).astype(np.float32)
    data = open_data(AnnData(values, obs=cells.obs), **KEYS)
    table = score_generation(fitted("real_cells", data), data, SPLIT.test, held_out=True)
    found = table[table["group"] == ""].set_index("metric")["value"]
    codes = data.annotation.label[SPLIT.test]
    made = module._drawn(fitted("real_cells", data), only_labels(codes), 0).toarray()
    expected = METRICS["variance_error"].function(values[SPLIT.test], made)
    assert found["variance_error"] == pytest.approx(expected, rel=1e-5)


def test_labels_whose_batch_is_unknown_have_their_share(cells):
    adata = cells.copy()
    adata.obs["batch"] = np.where(adata.obs["label"] == adata.obs["label"].cat.categories[0], None, adata.obs["batch"])
    model = fitted("nb_by_label", open_data(adata, **KEYS))
    made = generate(model, 1000)
    shares = adata.obs["label"].iloc[SPLIT.train].value_counts(normalize=True)
    assert all(abs(n - 1000 * shares[name]) < 1 for name, n in counts(made).items())
    assert len(counts(made)) == 3


def test_a_generator_of_no_numbers_has_failed_and_is_not_without_scores(data, monkeypatch):
    model = fitted("nb_by_label", data)
    made_by = type(model).generate
    monkeypatch.setattr(type(model), "generate", lambda *args: made_by(*args) * np.nan)
    with pytest.raises(UnsuitableValues, match="x_generated must be finite"):
        score_generation(model, data, SPLIT.test, held_out=True)


def test_values_below_zero_count_as_zero_where_real_ones_are_not_negative(data, monkeypatch):
    model = fitted("nb_by_label", data)
    made_by = type(model).generate
    expected = score_generation(model, data, SPLIT.test, held_out=True)

    def below_zero(*args):
        values = made_by(*args)
        return values.where(values > 0, -3.0)

    monkeypatch.setattr(type(model), "generate", below_zero)
    assert score_generation(model, data, SPLIT.test, held_out=True).equals(expected)


def test_held_out_cells_without_labels_are_scored_together(cells, data):
    unlabelled = cells.copy()
    unlabelled.obs.loc[unlabelled.obs_names[SPLIT.test], "label"] = np.nan
    table = score_generation(
        fitted("nb_by_label", data), open_data(unlabelled, schema=data.schema), SPLIT.test, held_out=True
    )
    assert table["metric"].tolist() == list(SCORES)
    assert set(table["group"]) == {""}


def test_cells_without_a_label_are_left_out_where_others_have_one(cells, model):
    """They are often of one kind, and what could be generated for them is a mixture of all."""
    unlabelled = cells.copy()
    unlabelled.obs.loc[unlabelled.obs_names[SPLIT.test[:40]], "label"] = np.nan
    source = open_data(unlabelled, schema=model.schema)
    table = score_generation(model, source, SPLIT.test, held_out=True)
    assert table.equals(score_generation(model, source, SPLIT.test[40:], held_out=True))
