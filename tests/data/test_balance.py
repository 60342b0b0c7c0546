"""What each remedy shows, draws and weighs: sizes in closed form, expectations of draws, and what it leaves alone."""

import numpy as np
import pytest
from anndata import AnnData
from sklearn.utils.class_weight import compute_class_weight

from cellwright.data.balance import BALANCES, Balance, class_codes
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError, OptionError

SIZES = {0: 60, 1: 25, 2: 9}  # of the classes below
CODES = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, -1], [*SIZES.values(), 6]))
POINTS = np.random.default_rng(1).normal(size=(100, 3)) + 10 * CODES[:, None]


def remedy(name: str, **settings) -> Balance:
    return BALANCES[name](**settings)


def rng(seed=0):
    return np.random.default_rng(seed)


def sizes(codes) -> list[int]:
    """Of the classes 0, 1, 2, then of those without."""
    return [int((codes == code).sum()) for code in (0, 1, 2, -1)]


GEOMETRIC = round((60 * 25 * 9) ** (1 / 3))  # 24
RESIZED = {
    "none": (remedy("none"), [60, 25, 9]),
    "under": (remedy("under"), [9, 9, 9]),
    "under to a target": (remedy("under", target=30), [30, 25, 9]),
    "under to no class's loss": (remedy("under", target=100), [60, 25, 9]),
    "over": (remedy("over"), [60, 60, 60]),
    "over to a target": (remedy("over", target=30), [60, 30, 30]),
    "over to no class's gain": (remedy("over", target=5), [60, 25, 9]),
    "over beyond the largest": (remedy("over", target=80), [80, 80, 80]),
    "mixed": (remedy("mixed"), [GEOMETRIC] * 3),
    "mixed to a target": (remedy("mixed", target=40), [40, 40, 40]),
    "smote": (remedy("smote", n_neighbours=3), [60, 60, 60]),
    "smote to a target": (remedy("smote", n_neighbours=3, target=30), [60, 30, 30]),
    "weights": (remedy("weights"), [60, 25, 9]),
}
resized = pytest.mark.parametrize(("balance", "expected"), RESIZED.values(), ids=RESIZED)


@resized
def test_classes_have_the_sizes_that_the_remedy_says_and_cells_without_a_class_stay(balance, expected):
    drawn = balance.resample(POINTS, CODES, rng())
    assert sizes(CODES[drawn.of]) == [*expected, 6]
    assert set(drawn.of[CODES[drawn.of] == -1]) == set(np.flatnonzero(CODES == -1))


@pytest.fixture(scope="module")
def cells():
    adata = simulate(SimulateOptions(n_obs=130, n_vars=20, n_latent=2, n_batch=2, treated_share=0.4), seed=0).adata
    label = np.concatenate([CODES, np.repeat([0, 1, 2], 10)])  # thirty more cells, which are not trained on
    adata.obs["kind"] = np.array(["a", "b", "c", None], dtype=object)[label]
    return adata


TRAINING = np.arange(100)


@pytest.fixture(scope="module")
def source(cells):
    return open_data(cells, label_key="kind", batch_key="batch", condition_key="condition")


@resized
def test_a_fit_gets_the_sizes_that_points_get(source, balance, expected):
    balanced = balance.training(source, TRAINING, rng())
    assert sizes(balanced.source.annotation.label[balanced.rows]) == [*expected, 6]
    assert not {*range(100, 130)} & {*balanced.rows.tolist()}


@pytest.mark.parametrize("name", BALANCES)
def test_an_epoch_shows_as_many_cells_as_there_are_training_cells(source, name):
    settings = {"n_neighbours": 3} if name == "smote" else {}
    balanced = remedy(name, **settings).training(source, TRAINING, rng())
    shown = [m.n_obs for m in balanced.minibatches(32, 1, rng())]
    assert shown == [32, 32, 32, 4]
    again = [row for m in balanced.minibatches(32, 1, rng(1)) for row in m.rows.tolist()]
    assert not {*range(100, 130)} & {*again}


def test_undersampled_cells_stay_the_same_for_the_whole_fit_and_are_shown_equally_often(source):
    balanced = remedy("under").training(source, TRAINING, rng())
    epochs = [np.concatenate([m.rows.numpy() for m in balanced.minibatches(32, 1, rng(e))]) for e in range(3)]
    for shown in epochs:  # 33 cells, 100 places
        assert set(shown) == set(balanced.rows)
        assert set(np.unique(shown, return_counts=True)[1]) == {3, 4}


def test_of_more_cells_than_an_epoch_shows_each_comes_equally_often():
    """186 cells of which 100 are shown: none comes twice in an epoch, and all have the same chance."""
    source = open_data(simulate(SimulateOptions(n_obs=100, n_vars=5, n_latent=2), seed=0).adata, label_key="label")
    balanced = remedy("over", target=62).training(source, TRAINING, rng())
    assert len(balanced.rows) == 186
    shown = [np.concatenate([m.rows.numpy() for m in balanced.minibatches(50, 1, rng(e))]) for e in range(300)]
    assert all((np.bincount(s, minlength=100) <= np.bincount(balanced.rows, minlength=100)).all() for s in shown)
    chance = 100 / 186
    expected = 300 * chance * np.bincount(balanced.rows, minlength=100)
    # draws without replacement vary less than independent ones
    assert (np.abs(np.bincount(np.concatenate(shown)) - expected) < 5 * np.sqrt(expected)).all()


def test_every_cell_of_a_class_is_as_likely_to_be_drawn_again():
    total = np.zeros(100)
    for seed in range(400):
        total += np.bincount(remedy("over").resample(POINTS, CODES, rng(seed)).of, minlength=100)
    for code, size in SIZES.items():
        expected = 400 * 60 / size
        further = expected - 400
        assert (np.abs(total[code == CODES] - expected) <= 5 * np.sqrt(further)).all()


def test_every_cell_of_a_class_is_as_likely_to_be_kept():
    total = sum(np.bincount(remedy("under").resample(POINTS, CODES, rng(s)).of, minlength=100) for s in range(400))
    for code, size in SIZES.items():
        share = 9 / size
        assert (np.abs(total[code == CODES] - 400 * share) <= 5 * np.sqrt(400 * share * (1 - share))).all()


def test_sampling_draws_classes_equally_often_and_cells_without_one_never():
    of = np.concatenate([remedy("sampling").resample(POINTS, CODES, rng(seed)).of for seed in range(100)])
    assert len(of) == 10_000
    n = sizes(CODES[of])
    assert n[3] == 0
    assert all(abs(count - 10_000 / 3) < 5 * np.sqrt(10_000 * 2 / 9) for count in n[:3])


def test_weights_are_those_of_scikit_learn_and_one_without_a_class():
    drawn = remedy("weights").resample(POINTS, CODES, rng())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=CODES[CODES >= 0])
    np.testing.assert_allclose(drawn.weight[CODES >= 0], expected[CODES[CODES >= 0]])
    assert (drawn.weight[CODES < 0] == 1).all()
    assert (drawn.points == POINTS).all()
    assert drawn.weight[CODES >= 0].mean() == pytest.approx(1)


def test_minibatches_carry_the_weights_of_the_training_cells(source):
    balanced = remedy("weights").training(source, TRAINING, rng())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=CODES[CODES >= 0]).astype(np.float32)
    for minibatch in balanced.minibatches(32, 1, rng()):
        codes = CODES[minibatch.rows.numpy()]
        np.testing.assert_allclose(minibatch.weight.numpy(), np.where(codes < 0, 1, expected[codes]), rtol=1e-6)


def test_density_draws_a_sparse_region_as_often_as_a_dense_one_of_the_same_width():
    """A hundred points in [0, 1), nine thousand nine hundred in [9, 10): bins of width 1."""
    values = np.concatenate([np.linspace(0, 0.99, 100), np.linspace(9, 10, 9_900)])[:, None]
    of = remedy("density", smoothing=1e-9).resample(values, np.zeros(len(values), int), rng()).of
    assert len(of) == 10_000
    assert abs((of < 100).sum() - 5_000) < 5 * np.sqrt(10_000 / 4)


def test_chances_by_density_are_the_formula():
    values = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 8.0]])
    by_first = 1 / (np.array([0.5, 1.5, 1.5, 1.5]) + 0.001)  # two bins of width .5: a quarter and three quarters
    by_second = 1 / (np.array([0.1875, 0.1875, 0.1875, 0.0625]) + 0.001)  # of width 4
    by_first, by_second = by_first / by_first.sum(), by_second / by_second.sum()
    largest = np.maximum(by_first, by_second)
    np.testing.assert_allclose(remedy("density", n_bins=2).chances(values), largest / largest.sum())
    mean = remedy("density", n_bins=2, over_dimensions="mean").chances(values)
    np.testing.assert_allclose(mean, (by_first + by_second) / 2)


def test_in_training_cells_of_a_type_that_is_rare_are_drawn_more_often_without_a_label():
    """Twenty of 400 cells express other genes. Evenly along the first component alone they would be a third of the
    draws (it has ten bins, and the cells between the types are few), and along components of noise a twentieth."""
    counts = np.random.default_rng(0).poisson(np.repeat([[9.0, 1.0], [1.0, 9.0]], [380, 20], axis=0).repeat(10, axis=1))
    source = open_data(AnnData(counts.astype(np.float32)))
    balanced = remedy("density").training(source, np.arange(400), rng())
    drawn = np.concatenate([m.rows.numpy() for e in range(50) for m in balanced.minibatches(100, 1, rng(e))])
    assert len(drawn) == 20_000
    assert 0.2 < (drawn >= 380).mean() < 0.4


@pytest.mark.parametrize("name", ["under", "over", "mixed", "smote", "weights", "sampling"])
def test_classes_are_those_of_the_annotation_that_by_names(source, name):
    for by, pairs in {
        "batch": source.annotation.batch,
        "condition": source.annotation.condition,
        "label": source.annotation.label,
    }.items():
        np.testing.assert_array_equal(class_codes(remedy(name, by=by), source, TRAINING), pairs[:100])


def test_the_classes_of_two_annotations_are_their_pairs(source):
    codes = class_codes(remedy("over", by="label_condition"), source, np.arange(130))
    label, condition = source.annotation.label, source.annotation.condition
    known = label >= 0
    assert (codes[~known] == -1).all()
    pairs = {(a, b, c) for a, b, c in zip(label[known], condition[known], codes[known], strict=True)}
    assert len(pairs) == len({c for *_, c in pairs}) == 6
    balanced = remedy("over", by="label_condition").training(source, np.arange(130), rng())
    shown = np.unique(codes[balanced.rows], return_counts=True)[1]
    assert set(shown[1:]) == {max(np.bincount(codes[known]))}


def test_remedies_without_classes_have_one_for_all(source):
    assert (class_codes(remedy("none"), source, TRAINING) == 0).all()
    assert (class_codes(remedy("density"), source, TRAINING) == 0).all()


@pytest.mark.parametrize("name", ["under", "over", "mixed", "smote", "weights", "sampling"])
def test_an_annotation_that_was_not_given_is_refused_with_its_key(cells, name):
    for by, key in {"label": "label_key", "label_condition": "label_key", "batch": "batch_key"}.items():
        sentence = rf"balance='{name}' by {by} must have classes; .* without a {key}\. Give {key}"
        with pytest.raises(DataError, match=sentence):
            remedy(name, by=by).training(open_data(cells, condition_key="condition"), TRAINING, rng())


@pytest.mark.parametrize("name", ["under", "over", "mixed", "smote", "weights", "sampling"])
def test_training_cells_without_any_class_are_refused(source, name):
    with pytest.raises(DataError, match="must have training cells with a class; none of 6 has one"):
        remedy(name).training(source, np.flatnonzero(CODES < 0), rng())
    with pytest.raises(DataError, match="none of 6 points has one"):
        remedy(name).resample(POINTS[:6], np.full(6, -1), rng())


def test_smote_refuses_a_class_with_fewer_cells_than_neighbours_and_says_which(cells, source):
    with pytest.raises(DataError, match=r"n_neighbours=9 needs 10 training cells .* enlarges; c has 9\. Give fewer"):
        remedy("smote", n_neighbours=9).training(open_data(cells, label_key="kind"), TRAINING, rng())
    with pytest.raises(DataError, match=r"enlarges; c has 9, of one label, condition and batch at most 4\. Give"):
        remedy("smote", n_neighbours=4).training(source, TRAINING, rng())
    with pytest.raises(DataError, match=r"needs 10 .* class 2 has 9"):
        remedy("smote", n_neighbours=9).resample(POINTS, CODES, rng())


def test_a_small_class_that_is_not_enlarged_is_none_of_smotes_business(source):
    balanced = remedy("smote", n_neighbours=30, target=9).training(source, TRAINING, rng())
    np.testing.assert_array_equal(balanced.rows, TRAINING)


@pytest.mark.parametrize("name", ["smote", "density"])
def test_sequences_are_refused(name):
    adata = simulate(SimulateOptions(n_obs=40, n_vars=6, n_latent=2), seed=0).adata
    adata.var["step"] = np.arange(6.0)
    source = open_data(adata, label_key="label", step_key="step")
    with pytest.raises(DataError, match=rf"balance='{name}' works on cells; these data are sequences"):
        remedy(name).training(source, np.arange(40), rng())


def test_synthetic_points_lie_between_two_points_of_their_class_and_name_one_of_it():
    drawn = remedy("smote", n_neighbours=3).resample(POINTS, CODES, rng())
    assert (drawn.points[:100] == POINTS).all()
    assert len(drawn.points) == 186
    for point, of in zip(drawn.points[100:], drawn.of[100:], strict=True):
        ends = POINTS[CODES[of] == CODES]
        assert distance_from_segments(point, ends) < 1e-9
    assert sizes(CODES[drawn.of[100:]]) == [0, 35, 51, 0]


def distance_from_segments(point, ends) -> float:
    """From the nearest segment between two of the ends."""
    starts, along = ends[:, None], ends[None] - ends[:, None]
    at = ((point - starts) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-30)
    return float(np.linalg.norm(starts + at.clip(0, 1)[..., None] * along - point, axis=-1).min())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("smoot", "balance must be one of none, under, .*; it is 'smoot'. Did you mean 'smote'"),
        ("smote:n_neighbours=0", "n_neighbours of Smote should be greater"),
        ("over:by=donor", "by of Over should be 'label', 'condition', 'batch' or 'label_condition'; it is 'donor'"),
        ("over:3", "must be option=value"),
        ("density:by=label", "InverseDensity has no option 'by'"),
    ],
    ids=["unknown remedy", "out of bounds", "unknown annotation", "no equals sign", "option of others"],
)
def test_what_is_wrong_in_the_text_of_a_remedy_is_said(text, sentence):
    from cellwright.train.options import FitOptions

    with pytest.raises(OptionError, match=sentence):
        FitOptions(balance=text)
