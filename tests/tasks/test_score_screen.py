"""Scores of a screen are means of the metrics that they name; the summary is known for baseline and perfection."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.errors import UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.metrics.halves import corrected_to_full, half_split
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score_response import N_SPLITS
from cellwright.tasks.score_screen import (
    OF_TARGET,
    TARGET_COLUMNS,
    Screen,
    real_screen,
    score_screen,
    scored_targets,
    screen_score,
)

N_VARS = 30
TARGETS = ("A", "B", "C", "D")
_RNG = np.random.default_rng(0)
RATE = _RNG.gamma(1.0, size=N_VARS) + 1
EFFECT = {target: np.where(_RNG.random(N_VARS) < 0.3, _RNG.choice([0.2, 4.0], N_VARS), 1.0) for target in TARGETS}
GENES = np.array([3, -1, 7, -1])


def cells(rate, n_obs, seed):
    return np.log1p(np.random.default_rng(seed).poisson(rate, size=(n_obs, N_VARS))).astype(np.float32)


CONTROL = cells(RATE, 80, 1)
TREATED = {target: cells(RATE * EFFECT[target], 20 + 9 * k, 10 + k) for k, target in enumerate(TARGETS)}
PREDICTED = {target: cells(RATE * EFFECT[target] ** 0.5, 60, 20 + k) for k, target in enumerate(TARGETS)}


def screen(treated=TREATED):
    return Screen("rep_1", CONTROL, dict(treated), GENES, seed=4)


def means_of(cells_of):
    return np.stack([cells_of[target].astype(float).mean(axis=0) for target in TARGETS])


def values(scores):
    return scores.set_index("metric")["value"].to_dict()


def test_scores_are_means_over_targets_of_the_metrics_and_pds_of_their_mean_profiles():
    found = score_screen(screen(), PREDICTED.__getitem__)
    assert found.scores.columns.tolist() == SCORE_COLUMNS
    assert found.targets.columns.tolist() == TARGET_COLUMNS
    by_target = found.targets.set_index("target")
    for name in OF_TARGET:
        metric = METRICS[name]
        for target in TARGETS:
            arrays = {"x_control": CONTROL, "x_treated": TREATED[target], "x_predicted": PREDICTED[target]}
            expected = metric.function(**{need: arrays[need] for need in metric.needs})
            assert by_target.loc[target, name] == pytest.approx(expected, abs=1e-9)
        assert values(found.scores)[name] == pytest.approx(by_target[name].mean())
    expected = METRICS["pds"].function(means_of(TREATED), means_of(PREDICTED), GENES)
    assert values(found.scores)["pds"] == pytest.approx(expected)
    np.testing.assert_allclose(found.means, means_of(PREDICTED))
    assert by_target["n_cells"].tolist() == [20, 29, 38, 47]
    better = found.scores.set_index("metric")["better"].to_dict()
    assert better == {name: METRICS[name].better for name in better}
    assert found.scores[["task", "group", "held_out", "seed"]].drop_duplicates().to_numpy().tolist() == [
        ["perturb", "rep_1", True, 4]
    ]


def test_ranks_are_zero_for_the_real_cells_themselves_and_follow_when_predictions_are_exchanged():
    assert score_screen(screen(), TREATED.__getitem__).targets["rank"].tolist() == [0] * 4
    exchanged = {**TREATED, "A": TREATED["B"], "B": TREATED["A"]}
    ranks = score_screen(screen(), exchanged.__getitem__).targets.set_index("target")["rank"]
    assert (ranks[["A", "B"]] > 0).all()
    assert (ranks[["C", "D"]] == 0).all()


def test_the_ceiling_is_what_halves_score_and_means_are_corrected_to_full_size():
    found = values(screen().ceiling)
    splits = []
    for seed in np.random.SeedSequence(4).generate_state(N_SPLITS):
        halves = {target: half_split(treated, int(seed)) for target, treated in TREATED.items()}
        one, other = ({target: half[k] for target, half in halves.items()} for k in (0, 1))
        table = score_screen(screen(one), other.__getitem__).targets
        splits.append({
            "mean_mae": (table["mean_mae"] / np.sqrt(2)).mean(),
            "change_pearson": np.mean([corrected_to_full(r) for r in table["change_pearson"]]),
            "changed_genes_found": table["changed_genes_found"].mean(),
            "pds": METRICS["pds"].function(means_of(one), means_of(other), GENES),
        })  # fmt: skip
    assert found == pytest.approx(pd.DataFrame(splits).mean().to_dict())


def test_predictions_have_no_say_in_what_they_are_held_against():
    real = screen()
    ceiling = real.ceiling.copy()
    score_screen(real, lambda target: np.full((5, N_VARS), 9.0, dtype=np.float32))
    pd.testing.assert_frame_equal(real.ceiling, ceiling)
    with pytest.raises(UnsuitableValues, match="NaN"):
        score_screen(real, lambda target: PREDICTED[target] * (np.nan if target == "C" else 1))


BASELINE = {"changed_genes_found": 0.2, "pds": 0.5, "mean_mae": 0.04}


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (BASELINE, 0),
        ({"changed_genes_found": 1, "pds": 1, "mean_mae": 0}, 1),
        ({"changed_genes_found": 0.6, "pds": 0.75, "mean_mae": 0.03}, (0.5 + 0.5 + 0.25) / 3),
        ({"changed_genes_found": 0.6, "pds": 0.1, "mean_mae": 9}, 0.5 / 3),
        ({"changed_genes_found": 0.6, "pds": np.nan, "mean_mae": 0.03}, np.nan),
    ],
    ids=["baseline", "perfect", "between", "never penalised", "undefined"],
)
def test_the_summary_is_the_mean_gain_over_the_baseline_clipped_at_zero(scores, expected):
    assert screen_score(scores, BASELINE) == pytest.approx(expected, nan_ok=True)


def test_nothing_can_be_gained_over_a_perfect_baseline():
    perfect = {"changed_genes_found": 1.0, "pds": 1.0, "mean_mae": 0.0}
    assert screen_score(perfect, perfect) == 0


def test_targets_with_ten_cells_of_the_label_are_scored_and_their_genes_are_found_by_name():
    n = {("one", "control"): 12, ("one", "g1"): 10, ("one", "few"): 9, ("one", "elsewhere"): 15, ("two", "g1"): 30}
    obs = pd.DataFrame([key for key, size in n.items() for _ in range(size)], columns=["label", "condition"])
    obs.index = obs.index.astype(str)
    counts = np.random.default_rng(0).poisson(3.0, (len(obs), 4)).astype(np.float32)
    adata = AnnData(counts, obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2", "g3"]))
    source = open_data(adata, label_key="label", condition_key="condition", control="control")
    assert scored_targets(source, "one") == (["elsewhere", "g1"], ["few"])
    assert scored_targets(source, "two") == (["g1"], [])
    real = real_screen(source, "one", scale="log_normalise", seed=3)
    assert real.target_gene.tolist() == [-1, 1]
    rows = ((obs["label"] == "one") & (obs["condition"] == "g1")).to_numpy()
    normalised = np.log1p(counts[rows] * 1e4 / counts[rows].sum(axis=1, keepdims=True))
    np.testing.assert_allclose(real.x_treated["g1"], normalised, rtol=1e-5)
    assert real.x_control.shape == (12, 4)
