"""Effects are paired over seeds against nothing and against simpler remedies; sentences say no more than they show."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellwright.study.augmentation import EFFECT_COLUMNS, effects_of, verdict
from cellwright.study.response import holm

GAINS = {"none": 0.0, "over": 0.02, "smote": 0.03, "gan": 0.0, "vae": 0.05}
N_SEEDS = 6


def scores_of(gains, model="knn", noise=0.003, metrics=("macro_f1", "macro_f1_rare"), n_seeds=N_SEEDS):
    rng = np.random.default_rng(0)
    level = 0.6 + 0.05 * rng.normal(size=n_seeds)  # a split may be easy for all
    rows = [
        {
            "metric": metric,
            "group": group,
            "added": added,
            "seed": seed,
            "value": level[seed] + gain + noise * rng.normal(),
        }
        for added, gain in gains.items()
        for seed in range(n_seeds)
        for metric, group in [*((metric, "") for metric in metrics), ("macro_f1", "rare one"), ("macro_f1", "large")]
    ]
    return pd.DataFrame(rows).assign(data="d", model=model, of="", better="higher", task="classify", held_out=True)


def told(scores, generators=("gan", "vae")):
    effects = effects_of(scores, generators, {"rare one": 7.0})
    return effects, verdict(effects, generators, 9, 100)


def test_an_effect_is_the_paired_difference_with_the_interval_and_test_of_scipy():
    scores = scores_of(GAINS)
    effects, _ = told(scores)
    assert effects.columns.tolist() == EFFECT_COLUMNS
    of = effects[(effects["metric"] == "macro_f1") & (effects["group"] == "") & (effects["against"] == "none")]
    values = scores[(scores["metric"] == "macro_f1") & (scores["group"] == "")].pivot(
        index="seed", columns="added", values="value"
    )
    for _, row in of.iterrows():
        test = stats.ttest_rel(values[row["remedy"]], values["none"])
        low, high = test.confidence_interval()
        np.testing.assert_allclose(row["difference"], (values[row["remedy"]] - values["none"]).mean())
        np.testing.assert_allclose([row["ci_low"], row["ci_high"], row["p_t"]], [low, high, test.pvalue])
        assert row["n_seeds"] == N_SEEDS
    np.testing.assert_allclose(of["p_t_holm"], holm(of["p_t"].tolist()))


def test_only_generators_are_held_against_copies_and_smote_and_classes_against_nothing():
    effects, _ = told(scores_of(GAINS))
    pairs = set(zip(effects["remedy"], effects["against"], effects["group"], strict=True))
    overall = {(r, a) for r, a, g in pairs if not g}
    assert overall == {(r, "none") for r in GAINS if r != "none"} | {
        (r, a) for r in ("gan", "vae") for a in ("over", "smote")
    }
    assert {a for _, a, g in pairs if g} == {"none"}
    assert effects.loc[effects["is_rare"], "group"].unique().tolist() == ["rare one"]
    assert (effects.loc[effects["group"] == "rare one", "n_cells"] == 7).all()


def test_of_a_class_there_is_a_difference_and_no_test():
    """Two test cells give F1 three values: the same one in every seed would be beyond chance by no variance."""
    effects, _ = told(scores_of(GAINS))
    of_class = effects[effects["group"] != ""]
    assert of_class["difference"].notna().all()
    assert of_class[["ci_low", "ci_high", "p_t", "p_t_holm"]].isna().all(axis=None)


def test_a_planted_gain_of_a_generator_is_said_and_none_of_the_others():
    _, said = told(scores_of(GAINS))
    assert said[0] == "Generated cells of rare classes raise the macro F1 of 1 of 1 classifiers: knn (vae)."
    assert said[1] == "1 of 9 classes have fewer than 100 training cells and were raised to 100."
    assert "best of 2 by mean" in said[2]
    assert said[2].endswith("vae better beyond chance.")
    assert "against over, vae better and gan worse" in said[-1]


def test_without_a_gain_it_says_that_none_is_shown():
    _, said = told(scores_of(dict.fromkeys(GAINS, 0.0), noise=0.02))
    assert said[0] == "Generated cells of rare classes are not shown to raise the macro F1 of the classifier."
    assert "no generator is better or worse beyond chance" in said[2]


def test_one_seed_has_differences_and_no_test():
    effects, said = told(scores_of(GAINS, n_seeds=1))
    assert effects["difference"].notna().all()
    assert effects["p_t_holm"].isna().all()
    assert "(one seed, so no test)" in said[2]
    assert said[0].endswith("are not shown to raise the macro F1 of the classifier.")


@pytest.mark.slow
def test_under_a_planted_null_a_gain_is_said_in_one_study_of_twenty_at_most():
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = scores_of(dict.fromkeys(GAINS, 0.0), noise=0.0, metrics=("macro_f1",))
        scores["value"] += 0.01 * rng.normal(size=len(scores))
        found += told(scores)[1][0].startswith("Generated cells of rare classes raise")
    assert found <= 6  # of two-sided tests at .05 half of the errors are gains: 1.5 are expected


def test_without_scores_there_is_nothing_to_say():
    effects, said = told(pd.DataFrame())
    assert effects.columns.tolist() == EFFECT_COLUMNS
    assert said == []


@pytest.mark.parametrize("n", [1, 2])
def test_every_classifier_has_its_sentences(n):
    models = ["knn", "logistic"][:n]
    scores = pd.concat([scores_of(GAINS, model) for model in models], ignore_index=True)
    _, said = told(scores)
    assert sum(sentence.startswith(f"{model}: macro F1 is") for sentence in said for model in models) == n
