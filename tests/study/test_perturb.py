"""A perturbation study: predictions that know nothing of what is held out, tables, and a folder that continues."""

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from scipy import sparse

from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError, OptionError, RunError
from cellwright.models import MODELS
from cellwright.models.no_change import NoChange
from cellwright.report.page import report
from cellwright.run import Run
from cellwright.study import perturb, perturb_plan, perturb_runs
from cellwright.study.arm import with_baselines
from cellwright.study.perturb import perturb_study
from cellwright.study.perturb_plan import PerturbOptions, Variant
from cellwright.study.response import REMEDY_COLUMNS
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.tasks.perturb import GENE_COLUMNS
from cellwright.tasks.score_response import PLACED
from cellwright.train.options import FitOptions

KEYS = OpenOptions(label_key="label", condition_key="condition", control="control")
SHORT = FitOptions(max_epochs=2, batch_size=64)
SCGEN = "scgen:n_latent=3:n_hidden=16"
EACH = PerturbOptions(models=(SCGEN,), hold_out_each=("type_1", "type_2"), balance=("over",), seeds=2, min_cells=50)
ONE = PerturbOptions(models=(SCGEN,), hold_out=("type_1",), seeds=1, min_cells=50)
FEW = ("no_change", "gene_shift_similar")
BASELINES = [name for name, entry in MODELS.items() if entry.model.is_baseline and "perturbs" in entry.abilities]


@pytest.fixture(scope="module", autouse=True)
def few_baselines():
    """All of them are in the plan's own tests; the same runs ten times over would tell no more here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            perturb_plan,
            "with_baselines",
            lambda arms, **more: [arm for arm in with_baselines(arms, **more) if arm in arms or arm.model in FEW],
        )
        yield


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=300, n_vars=40, n_latent=3, label_shares=(0.3, 0.3, 0.2, 0.2), treated_share=0.5)
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    return out, perturb_study(cells, EACH, out=out, keys=KEYS, fit_options=SHORT, name="cells")


def runs_of(folder: Path) -> list[Run]:
    return [Run(path) for path in sorted((folder / "runs").iterdir())]


def of_type(cells, label, condition):
    return ((cells.obs["label"] == label) & (cells.obs["condition"] == condition)).to_numpy()


def test_the_tables_on_disk_are_those_returned_with_the_columns_of_the_contract(study):
    out, found = study
    board = pd.read_csv(out / "leaderboard.csv", keep_default_na=False)
    assert board.columns.tolist() == LEADERBOARD_COLUMNS
    assert len(board) == len(found.leaderboard)
    assert pd.read_csv(out / "remedies.csv").columns.tolist() == REMEDY_COLUMNS
    assert set(board["group"]) == {"", "type_1", "type_2"}
    assert set(board["status"]) == {"done"}
    assert {"no_change", "gene_shift_similar", "half_split", "scgen"} <= set(board["model"])
    assert set(board.loc[~board["is_baseline"], "model"]) == {"scgen"}


def test_a_mean_over_types_is_that_of_the_runs_scores(study):
    out, found = study
    tables = [
        run.table("scores.csv").query("metric == 'mean_r2'")
        for run in runs_of(out)
        if run.record.model == "scgen" and run.record.notes["where"] == "both"
    ]
    assert len(tables) == 4
    board = found.leaderboard.query("model == 'scgen' and metric == 'mean_r2' and group == ''").set_index("setting")
    row = board.loc["n_hidden=16, n_latent=3, balance=over in both"]
    assert row["mean"] == pytest.approx(pd.concat(tables)["value"].mean())
    assert row["n_seeds"] == 2


def test_every_run_holds_its_prediction_its_genes_and_its_ceiling(study, cells):
    out, _ = study
    runs = runs_of(out)
    assert len(runs) == 2 * 2 * (2 + 4)
    for run in runs:
        (held_out,) = run.record.notes["hold_out"]
        predicted = read_h5ad(run.path / "cells.h5ad")
        assert predicted.obs_names.tolist() == cells.obs_names[of_type(cells, held_out, "control")].tolist()
        assert predicted.shape[1] == 40
        assert run.table("genes.csv").columns.tolist() == GENE_COLUMNS
        assert set(run.table("ceiling.csv")["group"]) == {held_out}
        assert set(run.table("scores.csv")["group"]) == {held_out}
        assert run.verify() == []
        split = run.table("split.csv").set_index("obs")["split"]
        test = split.index[split == "test"]
        assert sorted(test) == sorted(cells.obs_names[of_type(cells, held_out, "treated")])


def test_trainings_that_differ_in_what_is_learnt_afterwards_are_shared(cells, tmp_path, monkeypatch):
    fitted = []
    once = perturb_runs.fit
    monkeypatch.setattr(perturb_runs, "fit", lambda model, *a, **k: (fitted.append(model.name), once(model, *a, **k)))
    options = ONE.model_copy(update={"balance": ("none", "over")})
    perturb_study(cells, options, out=tmp_path / "shared", keys=KEYS, fit_options=SHORT, name="cells")
    assert fitted.count("scgen") == 2  # balanced or not; the shift is learnt from what was trained
    monkeypatch.setattr(
        perturb_runs.GroupRuns, "trained", property(lambda self: {}, lambda self, value: None), raising=False
    )
    perturb_study(cells, options, out=tmp_path / "apart", keys=KEYS, fit_options=SHORT, name="cells")
    assert fitted.count("scgen") == 2 + 4
    for shared, apart in zip(runs_of(tmp_path / "shared"), runs_of(tmp_path / "apart"), strict=True):
        np.testing.assert_array_equal(*(read_h5ad(run.path / "cells.h5ad").X for run in (shared, apart)))


def test_running_it_again_repeats_nothing(study, cells, monkeypatch):
    out, found = study
    for name in ("fit", "relearn", "perturb"):
        monkeypatch.setattr(perturb_runs, name, lambda *_, **__: pytest.fail("a finished run was repeated"))
    seen = []
    again = perturb_study(cells, EACH, out=out, keys=KEYS, fit_options=SHORT, name="cells", watch=seen.append)
    assert len(seen) == 24
    assert all(outcome.found for outcome in seen)
    pd.testing.assert_frame_equal(again.leaderboard, found.leaderboard)
    assert again.verdict == found.verdict


def test_a_study_killed_before_a_score_goes_on_there(cells, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(perturb_runs, "evaluate_perturbation", killed)
        with pytest.raises(KeyboardInterrupt):
            perturb_study(cells, ONE, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    found = perturb_study(cells, ONE, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    assert set(found.leaderboard["status"]) == {"done"}
    assert len(runs_of(tmp_path / "study")) == 3


@pytest.mark.usefixtures("forked")
def test_two_processes_give_what_one_gives(study, cells, tmp_path):
    _, found = study
    options = EACH.model_copy(update={"workers": 2})
    shared = perturb_study(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    free = ["seconds", "peak_bytes"]
    pd.testing.assert_frame_equal(shared.leaderboard.drop(columns=free), found.leaderboard.drop(columns=free))
    pd.testing.assert_frame_equal(shared.remedies, found.remedies)


def with_other_values(cells, rows):
    """The same cells, these with counts that are drawn anew, of other genes."""
    rng = np.random.default_rng(5)
    values = cells.X.toarray()
    values[rows] = rng.poisson(rng.gamma(0.3, 40, size=cells.n_vars), size=(rows.sum(), cells.n_vars))
    other = cells.copy()
    other.X = sparse.csr_matrix(values.astype(np.float32))
    return other


@pytest.mark.parametrize(
    ("models", "remedy"),
    [((SCGEN, *BASELINES), "over"), ((SCGEN,), "smote:n_neighbours=3"), ((SCGEN,), "density")],
    ids=["over", "smote", "density"],
)
def test_the_treated_cells_of_a_held_out_type_change_no_prediction(cells, tmp_path, models, remedy):
    """Neither training nor the choice of genes, balancing and shift may see them."""
    options = ONE.model_copy(update={"models": models, "balance": ("none", remedy), "where": ("both",)})
    other = with_other_values(cells, of_type(cells, "type_1", "treated"))
    predictions = []
    for name, adata in {"one": cells, "other": other}.items():
        perturb_study(
            adata,
            options,
            out=tmp_path / name,
            keys=KEYS,
            fit_options=SHORT,
            preprocessing=PreprocessOptions(n_top_genes=20),
            name="cells",
        )
        runs = runs_of(tmp_path / name)
        predictions.append(
            {(r.record.model, r.record.notes["setting"]): read_h5ad(r.path / "cells.h5ad") for r in runs}
        )
    one, other = predictions
    assert one.keys() == other.keys()
    for key, predicted in one.items():
        assert predicted.var_names.tolist() == other[key].var_names.tolist(), key
        np.testing.assert_array_equal(predicted.X, other[key].X, err_msg=str(key))


def test_the_training_cells_do_change_it(cells, tmp_path):
    """So that the test above can fail."""
    other = with_other_values(cells, of_type(cells, "type_2", "treated"))
    options = ONE.model_copy(update={"models": ("gene_shift",)})
    values = []
    for name, adata in {"one": cells, "other": other}.items():
        perturb_study(adata, options, out=tmp_path / name, keys=KEYS, name="cells")
        values.append(read_h5ad(tmp_path / name / "cells.h5ad").X)
    assert not np.allclose(*values)


def test_a_single_prediction_lies_at_the_top_and_is_of_the_model_asked_for_first(cells, tmp_path):
    options = ONE.model_copy(update={"models": ("gene_shift", SCGEN), "hold_out": ("type_1", "type_3")})
    found = perturb_study(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    predicted = read_h5ad(tmp_path / "study" / "cells.h5ad")
    assert predicted.uns["cellwright"]["model"] == "gene_shift"
    assert set(predicted.obs["label"]) == {"type_1", "type_3"}
    assert set(found.leaderboard["group"]) == {"", "type_1", "type_3"}
    assert not (tmp_path / "study" / "runs" / "cells.h5ad").exists()


def test_the_prediction_at_the_top_is_of_the_first_seed_whichever_comes_first(cells, tmp_path, monkeypatch):
    once = perturb.run_groups
    monkeypatch.setattr(
        perturb, "run_groups", lambda study, source, groups, tell: once(study, source, groups[::-1], tell)
    )
    options = ONE.model_copy(update={"models": (f" {SCGEN}",), "seeds": 2})
    perturb_study(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    of_seed = {run.record.seed: run for run in runs_of(tmp_path / "study") if run.record.model == "scgen"}
    at_top = (tmp_path / "study" / "cells.h5ad").read_bytes()
    assert [at_top == (of_seed[seed].path / "cells.h5ad").read_bytes() for seed in (0, 1)] == [True, False]


def test_where_the_first_model_fails_nothing_else_passes_for_its_prediction(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(Variant, "options", failing_without_remedy(Variant.options))
    options = ONE.model_copy(update={"balance": ("none", "over"), "where": ("shift",)})
    with pytest.warns(UserWarning, match="scgen failed with the first seed"):
        found = perturb_study(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    assert found.leaderboard.query("model == 'scgen'")["status"].tolist().count("failed") == 1
    assert not (tmp_path / "study" / "cells.h5ad").exists()


def failing_without_remedy(options):
    """scGen diverges without a remedy; with one it is as asked."""

    def made(variant):
        found = options(variant)
        fails = variant.model == "scgen" and not variant.where
        return found.model_copy(update={"learning_rate": 1e30}) if fails else found

    return made


def test_what_an_earlier_version_placed_below_a_false_ceiling_is_dropped(study, cells, tmp_path):
    folder = Path(shutil.copytree(study[0], tmp_path / "study"))
    for run in runs_of(folder):
        for name in ("scores.csv", "ceiling.csv"):
            table = run.table(name)
            more = [table.iloc[:1].assign(metric=f"{m}_placed") for m in ("variance_error", "mmd", "mean_r2_top100")]
            pd.concat([table, *more]).to_csv(run.path / name, index=False)
    found = perturb_study(cells, EACH, out=folder, keys=KEYS, fit_options=SHORT, name="cells")
    pd.testing.assert_frame_equal(found.leaderboard, study[1].leaderboard)
    placed = {metric for metric in found.leaderboard["metric"] if metric.endswith("_placed")}
    assert placed == {f"{metric}_placed" for metric in PLACED}


def test_a_type_that_was_never_treated_is_predicted_without_scores(cells, tmp_path):
    never = cells[~of_type(cells, "type_1", "treated")].copy()
    found = perturb_study(never, ONE, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    assert found.verdict == []
    assert found.leaderboard["mean"].isna().all()
    assert set(found.leaderboard["status"]) == {"done"}
    predicted = read_h5ad(tmp_path / "study" / "cells.h5ad")
    assert predicted.n_obs == of_type(cells, "type_1", "control").sum()
    for run in runs_of(tmp_path / "study"):
        assert not (run.path / "scores.csv").exists()
    assert report(tmp_path / "study").exists()


def test_a_model_that_fails_is_a_row_that_says_why(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(NoChange, "perturb", lambda *_: 1 / 0)
    options = ONE.model_copy(update={"models": ("scgen:learning_rate=1e30",)})
    with pytest.warns(UserWarning, match="scgen failed with the first seed"):
        found = perturb_study(cells, options, out=tmp_path / "study", keys=KEYS, fit_options=SHORT, name="cells")
    failed = found.leaderboard[found.leaderboard["status"] == "failed"].set_index("model")["reason"]
    assert failed["no_change"] == "ZeroDivisionError: division by zero"
    assert "must be finite" in failed["scgen"]
    assert "gene_shift_similar" in set(found.leaderboard.loc[found.leaderboard["status"] == "done", "model"])


def test_small_types_are_left_out_with_a_word_unless_they_are_held_out(cells, tmp_path):
    few = cells[~cells.obs["label"].isin(["type_4"]) | (np.arange(cells.n_obs) % 3 == 0)].copy()
    baseline = ONE.model_copy(update={"models": ("gene_shift",)})
    with pytest.warns(UserWarning, match=r"fewer than 50 control and treated cells are left out .*: type_4\."):
        perturb_study(few, baseline, out=tmp_path / "without", keys=KEYS, name="cells")
    run = runs_of(tmp_path / "without")[0]
    assert run.record.notes["left_out"] == ["type_4"]
    assert set(run.table("split.csv")["obs"]) == set(few.obs_names[few.obs["label"] != "type_4"])
    held_out = baseline.model_copy(update={"hold_out": ("type_4",)})
    perturb_study(few, held_out, out=tmp_path / "with", keys=KEYS, name="cells")
    assert len(runs_of(tmp_path / "with")[0].table("split.csv")) == few.n_obs


def test_of_many_genes_of_counts_the_most_variable_are_chosen_from_training_cells(cells, tmp_path, monkeypatch):
    monkeypatch.setattr("cellwright.study.perturb_cells.N_TOP_GENES", 15)
    baseline = ONE.model_copy(update={"models": ("gene_shift",)})
    perturb_study(cells, baseline, out=tmp_path / "counts", keys=KEYS, name="cells")
    run = runs_of(tmp_path / "counts")[0]
    n_known = (run.table("split.csv")["split"] != "test").sum()  # a baseline learns from validation cells as well
    assert run.record.notes["preprocessing"]["n_fit"] == n_known - round(0.1 * n_known)
    assert run.record.data["shape"][1] == 15
    rates = cells.copy()
    rates.X = rates.X * 0.5
    perturb_study(rates, baseline, out=tmp_path / "rates", keys=KEYS, name="cells")
    assert runs_of(tmp_path / "rates")[0].record.data["shape"][1] == 40


def test_the_plan_is_written_and_may_grow_but_not_change(cells, tmp_path):
    options = PerturbOptions(models=("gene_shift",), hold_out_each=("type_1",), seeds=1, quick=True, min_cells=50)
    perturb_study(cells, options, out=tmp_path / "study", keys=KEYS, name="cells")
    plan = tomllib.loads((tmp_path / "study" / "study.toml").read_text())
    assert plan["perturb"]["quick"] is True
    assert plan["fit"]["max_epochs"] == 15
    more = options.model_copy(update={"hold_out_each": ("type_1", "type_2"), "seeds": 2})
    perturb_study(cells, more, out=tmp_path / "study", keys=KEYS, name="cells")
    assert len(runs_of(tmp_path / "study")) == 4 * 3
    with pytest.raises(RunError, match="holds a study with another min_cells: 50, now 10"):
        perturb_study(
            cells, options.model_copy(update={"min_cells": 10}), out=tmp_path / "study", keys=KEYS, name="cells"
        )


@pytest.mark.parametrize(
    ("options", "keys", "error", "sentence"),
    [
        (
            ONE.model_copy(update={"hold_out": ("type_9",)}),
            KEYS,
            OptionError,
            r"type_4; 'type_9' is none\. Did you mean",
        ),
        (ONE.model_copy(update={"hold_out": ("type_1", "type_1")}), KEYS, OptionError, "is there twice"),
        (ONE.model_copy(update={"hold_out": ("type_1", "type_2", "type_3")}), KEYS, DataError, "there is only type_4"),
        (ONE.model_copy(update={"min_cells": 1000}), KEYS, DataError, r"there is none \(left out as too small: type_2"),
        (ONE.model_copy(update={"treated": "control"}), KEYS, OptionError, "both are 'control'"),
        (ONE.model_copy(update={"balance": ("none", "over:by=batch")}), KEYS, OptionError, "Give batch_key"),
        (ONE, OpenOptions(label_key="label", condition_key="condition"), OptionError, "Give control"),
        (ONE, OpenOptions(condition_key="condition", control="control"), OptionError, "Give label_key"),
        (ONE, OpenOptions(label_key="label", control="control"), OptionError, "Give condition_key"),
        (ONE, KEYS.model_copy(update={"control": "controls"}), DataError, "Did you mean 'control'"),
    ],
    ids=[
        "label",
        "twice",
        "one shared",
        "too small",
        "treated",
        "no batches",
        "no control",
        "no labels",
        "no conditions",
        "control",
    ],
)
def test_what_concerns_all_models_is_refused_before_anything_is_written(
    cells, tmp_path, options, keys, error, sentence
):
    with pytest.raises(error, match=sentence):
        perturb_study(cells, options, out=tmp_path / "study", keys=keys)
    assert not (tmp_path / "study").exists()


def test_a_type_without_control_cells_is_refused(cells, tmp_path):
    without = cells[~of_type(cells, "type_1", "control")].copy()
    with pytest.raises(DataError, match="the data have none of 'type_1'"):
        perturb_study(without, ONE, out=tmp_path / "study", keys=KEYS)
