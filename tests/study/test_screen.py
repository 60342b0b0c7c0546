"""A screen as a study: all targets of a held-out label, scores against hand-made means, and what it must not see."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from cellwright.data.prepare import OpenOptions
from cellwright.errors import DataError, OptionError
from cellwright.metrics import METRICS
from cellwright.models import MODELS
from cellwright.run import Run
from cellwright.study import perturb_plan
from cellwright.study.arm import with_baselines
from cellwright.study.perturb import perturb_study
from cellwright.study.perturb_plan import PerturbOptions
from cellwright.study.response import REMEDY_COLUMNS, verdict
from cellwright.study.screen import with_screen_scores
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.tasks.score_screen import TARGET_COLUMNS
from cellwright.train.options import FitOptions

KEYS = OpenOptions(label_key="replicate", condition_key="target", control="control")
SHORT = FitOptions(max_epochs=2, batch_size=64)
NETWORKS = ("scgen:n_latent=3:n_hidden=16", "response_vae:n_latent=3")
BASELINES = [name for name, entry in MODELS.items() if entry.model.is_baseline and "perturbs" in entry.abilities]
FEW = ("gene_shift", "mean_response")
N_VARS = 40
REPLICATES = ("rep_1", "rep_2", "rep_3")
TARGETS = ("g1", "g2", "g3", "other")  # three are among the features, `g2` has few cells in rep_1


@pytest.fixture(scope="module", autouse=True)
def few_baselines():
    """All of them once, where nothing may leak; elsewhere they would tell no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            perturb_plan,
            "with_baselines",
            lambda arms, **more: [arm for arm in with_baselines(arms, **more) if arm in arms or arm.model in FEW],
        )
        yield


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 3.0, N_VARS) + 1
    effect = {target: np.where(rng.random(N_VARS) < 0.3, rng.choice([0.2, 4.0], N_VARS), 1.0) for target in TARGETS}
    rows, counts = [], []
    for replicate in REPLICATES:
        level = rng.uniform(0.7, 1.4, N_VARS)
        for condition in ("control", *TARGETS):
            n = 40 if condition == "control" else 9 if (condition, replicate) == ("g2", "rep_1") else 20
            rows += [(replicate, condition)] * n
            counts.append(rng.poisson(rate * level * effect.get(condition, 1.0), (n, N_VARS)))
    obs = pd.DataFrame(rows, columns=["replicate", "target"]).rename(index="c{}".format)
    return AnnData(
        np.concatenate(counts).astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{k}" for k in range(N_VARS)])
    )


def plan(**changes):
    return PerturbOptions(
        **{"models": FEW[:1], "treated": "all", "hold_out_each": ("rep_1", "rep_2"), "seeds": 1, **changes}
    )


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    with pytest.warns(
        UserWarning, match=r"fewer than 10 cells of a held-out label are not scored there: g2 \(rep_1\)\."
    ):
        return out, perturb_study(cells, plan(), out=out, keys=KEYS, name="cells")


def runs_of(folder):
    return [Run(path) for path in sorted((folder / "runs").iterdir())]


def log_normalised(cells, replicate, condition):
    rows = ((cells.obs["replicate"] == replicate) & (cells.obs["target"] == condition)).to_numpy()
    counts = cells.X[rows].astype(float)
    return np.log1p(counts * 1e4 / counts.sum(axis=1, keepdims=True))


def change(cells, replicates, target):
    """The mean over replicates of the change of means, by hand."""
    sides = [
        [log_normalised(cells, one, condition).mean(axis=0) for one in replicates] for condition in (target, "control")
    ]
    return np.mean(sides[0], axis=0) - np.mean(sides[1], axis=0)


@pytest.mark.parametrize("model", FEW)
def test_scores_equal_the_metrics_on_means_computed_by_hand(study, cells, model):
    """The gene shift knows the target, the mean response the mean over all of them, those without a score included."""
    out, _ = study
    (run,) = [run for run in runs_of(out) if run.record.model == model and run.record.notes["hold_out"] == ["rep_1"]]
    scored = ["g1", "g3", "other"]
    table = run.table("targets.csv")
    assert table.columns.tolist() == TARGET_COLUMNS
    assert table["target"].tolist() == scored
    control = log_normalised(cells, "rep_1", "control")
    of_target = {target: change(cells, REPLICATES[1:], target) for target in TARGETS}
    used = of_target if model == "gene_shift" else dict.fromkeys(TARGETS, np.mean(list(of_target.values()), axis=0))
    predicted = np.stack([(control + used[target]).clip(0).mean(axis=0) for target in scored])
    real = np.stack([log_normalised(cells, "rep_1", target).mean(axis=0) for target in scored])
    scores = run.table("scores.csv").set_index("metric")["value"]
    assert scores["pds"] == pytest.approx(METRICS["pds"].function(real, predicted, np.array([1, 3, -1])))
    assert scores["mean_mae"] == pytest.approx(np.abs(real - predicted).mean(), rel=1e-4)
    pearson = [
        np.corrcoef(a, b)[0, 1] for a, b in zip(real - control.mean(0), predicted - control.mean(0), strict=True)
    ]
    assert table["change_pearson"].to_numpy() == pytest.approx(pearson, rel=1e-3)
    profiles = read_h5ad(run.path / "cells.h5ad")
    assert profiles.obs_names.tolist() == scored
    np.testing.assert_allclose(profiles.X, predicted, rtol=1e-3, atol=1e-4)


def test_the_leaderboard_has_the_summary_of_every_model_but_not_of_real_cells(study):
    out, found = study
    board = pd.read_csv(out / "leaderboard.csv", keep_default_na=False)
    assert board.columns.tolist() == LEADERBOARD_COLUMNS
    assert set(board["group"]) == {"", "rep_1", "rep_2"}
    assert set(board["status"]) == {"done"}
    of_all = found.leaderboard.query("metric == 'screen_score' and group == ''").set_index("model")["mean"]
    assert set(of_all.index) == {*FEW}
    assert "half_split" in set(board["model"])
    assert of_all["mean_response"] == 0
    assert of_all["gene_shift"] > 0.2  # effects are planted, and the same in all replicates
    assert found.leaderboard.iloc[0]["metric"] == "screen_score"


def test_the_summary_is_made_of_the_baseline_of_the_same_label_and_seed():
    def rows(model, group, found, pds, mae):
        values = {"changed_genes_found": found, "pds": pds, "mean_mae": mae}
        what = {"data": "d", "model": model, "setting": "", "group": group, "seed": 0, "better": "higher"}
        return pd.DataFrame([what | {"metric": metric, "value": value} for metric, value in values.items()])

    scores = pd.concat([
        rows("mean_response", "rep_1", 0.0, 0.5, 0.1).assign(setting="transform=none"),  # as of values below zero
        rows("mean_response", "rep_2", 0.5, 0.5, 0.4),
        *(rows("net", group, 0.5, 0.75, 0.1) for group in ("rep_1", "rep_2", "rep_3")),
    ])  # fmt: skip
    table = with_screen_scores(scores)
    made = table[table["metric"] == "screen_score"].set_index(["model", "group"])["value"].to_dict()
    assert made == pytest.approx({
        ("mean_response", "rep_1"): 0, ("mean_response", "rep_2"): 0,
        ("net", "rep_1"): (0.5 + 0.5 + 0) / 3, ("net", "rep_2"): (0 + 0.5 + 0.75) / 3,
    })  # fmt: skip
    pd.testing.assert_frame_equal(table.iloc[len(made) :].reset_index(drop=True), scores.reset_index(drop=True))


def test_the_verdict_is_about_the_summary():
    arm = {"data": "d", "setting": "", "of": "", "remedy": "none", "where": "", "seconds": 1.0, "peak_bytes": 1}
    arm |= {"task": "perturb", "metric": "screen_score", "better": "higher", "held_out": True, "seed": 0}
    found = {"net": (0.2, 0.3), "base": (0.25, 0.35)}
    scores = pd.DataFrame([
        {**arm, "model": model, "is_baseline": model == "base", "group": group, "value": value}
        for model, values in found.items()
        for group, value in zip(("rep_1", "rep_2"), values, strict=True)
    ])  # fmt: skip
    (sentence,) = verdict(scores, pd.DataFrame(columns=REMEDY_COLUMNS), ["rep_1", "rep_2"])
    assert sentence.startswith(
        "No network beats the best baseline by mean: net against base, screen score 0.250 against 0.300"
    )


def test_the_treated_cells_of_a_held_out_label_change_no_prediction(cells, tmp_path):
    rng = np.random.default_rng(5)
    held_out = ((cells.obs["replicate"] == "rep_1") & (cells.obs["target"] != "control")).to_numpy()
    other = cells.copy()
    other.X[held_out] = rng.poisson(rng.gamma(0.3, 40, N_VARS), (held_out.sum(), N_VARS))
    options = plan(models=(*NETWORKS, *BASELINES), hold_out_each=("rep_1",))
    predicted = []
    for name, adata in {"one": cells, "other": other}.items():
        with pytest.warns(UserWarning, match="not scored there"):
            found = perturb_study(adata, options, out=tmp_path / name, keys=KEYS, fit_options=SHORT, name="cells")
        assert set(found.leaderboard["status"]) == {"done"}
        predicted.append({run.record.model: read_h5ad(run.path / "cells.h5ad").X for run in runs_of(tmp_path / name)})
    assert predicted[0].keys() == predicted[1].keys() == {"scgen", "response_vae", *BASELINES}
    for model, values in predicted[0].items():
        np.testing.assert_array_equal(values, predicted[1][model], err_msg=model)


def test_a_screen_found_finished_is_not_repeated(study, cells):
    out, found = study
    seen = []
    with pytest.warns(UserWarning, match="not scored there"):
        again = perturb_study(cells, plan(), out=out, keys=KEYS, name="cells", watch=seen.append)
    assert [outcome.found for outcome in seen] == [True] * 4
    pd.testing.assert_frame_equal(again.leaderboard, found.leaderboard)


def test_a_target_that_one_other_replicate_has_is_left_out_with_a_word(cells, tmp_path):
    gone = ((cells.obs["replicate"] == "rep_3") & (cells.obs["target"] == "g3")).to_numpy()
    with pytest.warns(UserWarning, match=r"fewer than 2 labels beside the held-out one are left out: g3 \(rep_2\)\."):
        found = perturb_study(
            cells[~gone].copy(), plan(hold_out_each=("rep_2",)), out=tmp_path / "study", keys=KEYS, name="cells"
        )
    assert set(found.leaderboard["status"]) == {"done"}
    for run in runs_of(tmp_path / "study"):
        assert run.table("targets.csv")["target"].tolist() == ["g1", "g2", "other"]
        assert run.record.notes["targets_left_out"] == ["g3"]


@pytest.mark.parametrize(
    ("rows", "changes", "error", "sentence"),
    [
        (
            lambda obs: obs["replicate"] == "rep_1",
            {},
            DataError,
            r"2 labels or more .* with rep_1 held out there is none\.",
        ),
        (lambda obs: obs["replicate"] != "rep_3", {}, DataError, "there is only rep_2"),
        (
            lambda obs: obs["target"].isin(["control", "g1"]),
            {"min_cells": 10},
            DataError,
            "'rep_1' has 1 such and 40 control cells",
        ),
        (None, {"treated": "g4"}, OptionError, "g1, g2, g3, other; it is 'g4'"),
        (None, {"hold_out_each": ("rep_4",)}, OptionError, "'rep_4' is none"),
    ],
    ids=["one replicate", "two replicates", "one target", "unknown target", "unknown replicate"],
)
def test_what_is_no_screen_is_refused_before_anything_is_written(cells, tmp_path, rows, changes, error, sentence):
    adata = cells if rows is None else cells[rows(cells.obs).to_numpy()].copy()
    with pytest.raises(error, match=sentence):
        perturb_study(adata, plan(**changes), out=tmp_path / "study", keys=KEYS)
    assert not (tmp_path / "study").exists()
