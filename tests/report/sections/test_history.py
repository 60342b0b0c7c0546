import pandas as pd
import plotly.graph_objects as go
import pytest

from cellwright.report.contents import StoredRun, read_contents
from cellwright.report.sections.history import context, overfitting, terms
from cellwright.run import Run, RunRecord


def run(**notes):
    record = RunRecord(command="", model="vae", options={}, fit_options={}, seed=0, data={}, notes=notes)
    return StoredRun(Run("nowhere"), record, "pbmc", [])


def history(*values):
    rows = {"epoch": range(len(values)), "split": "validation", "term": "total", "value": values}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            (20.0, 10.0, 11.0),
            "lowest in epoch 1 (10.00) and rose by 1.00 until epoch 2 (10% of its fall): it overfits.",
        ),
        ((30.0, 10.0, 10.5), "rose by 0.50 until epoch 2 (2% of its fall): no sign of overfitting."),
        ((20.0, 15.0, 10.0), "lowest in epoch 2 (10.00), the last one; longer training may still help."),
        (
            (10.0, 12.0),
            "lowest in epoch 0 (10.00) and rose by 2.00 until epoch 1 (without having fallen): it overfits.",
        ),
        ((10.0,), "no validation curve, so overfitting cannot be seen."),
    ],
    ids=["overfits", "within the tolerance", "still falls", "never falls", "one epoch"],
)
def test_overfitting_is_judged_by_the_rise_after_the_minimum(values, sentence):
    assert overfitting(run(), history(*values)).endswith(sentence)


def test_the_epoch_whose_weights_were_kept_is_told():
    assert overfitting(run(best_epoch=1), history(20.0, 10.0, 12.0)).endswith("and the weights of epoch 1 were kept.")


def test_only_the_last_stage_is_judged_for_each_has_a_loss_of_its_own():
    first = history(600.0, 500.0)
    rows = {"epoch": [2, 2, 3, 3], "split": "validation", "term": ["total", "noise"] * 2, "value": [2.0, 2.0, 1.0, 1.0]}
    said = overfitting(run(), pd.concat([first, pd.DataFrame(rows)], ignore_index=True))
    assert (
        said == "vae: the validation loss was lowest in epoch 3 (1.00), the last one; longer training may still help."
    )


def test_a_fit_that_the_cap_ended_and_one_that_watches_nothing_say_so():
    said = overfitting(run(endings=["cap"]), history(20.0, 15.0, 10.0))
    assert said.endswith("longer training may still help. Training was stopped by the cap on epochs.")
    said = overfitting(run(endings=["budget"]), history(1.0, 3.0, 2.0))
    assert said == "vae: trained for all its epochs, for none of its losses tells when to stop."


def test_the_total_is_the_first_term():
    table = pd.DataFrame({"term": ["kl", "reconstruction", "total", "kl"]})
    assert terms(table) == ["total", "kl", "reconstruction"]


def test_curves_are_those_of_the_file(study, study_builder):
    figure = context(read_contents(study))["blocks"][0]["figure"]
    table = pd.read_csv(study_builder["run_folder"](study, "vae", 0) / "history.csv")
    kl = table[(table["term"] == "kl") & (table["split"] == "validation")]
    trace = figure.views["kl"]["data"][1]
    assert trace["x"] == kl["epoch"].tolist()
    assert trace["y"] == pytest.approx(kl["value"].tolist(), rel=1e-5)


def test_the_best_epoch_is_marked_in_every_panel(study):
    figure = context(read_contents(study))["blocks"][0]["figure"]
    assert [shape["x0"] for shape in figure.views["total"]["layout"]["shapes"]] == [38, 38, 38]


def test_models_without_a_history_have_no_panel(study):
    figure = context(read_contents(study))["blocks"][0]["figure"]
    titles = [title["text"] for title in figure.views["total"]["layout"]["annotations"]]
    assert titles == ["<b>vae</b>", "<b>gnn</b>", "<b>ae</b>"]


def test_figures_are_plotlys(study):
    for view in context(read_contents(study))["blocks"][0]["figure"].views.values():
        go.Figure(view)


def test_models_of_a_study_of_responses_have_their_short_names(responses):
    contents = read_contents(responses)
    for run in contents.runs:
        run.record.notes["setting"] = "n_latent=8" if run.record.model == "scgen" else ""
    contents.leaderboard.loc[contents.leaderboard["model"] == "scgen", "setting"] = "n_latent=8"
    sentences = context(contents)["blocks"][0]["sentences"]
    assert [sentence.split(":")[0] for sentence in sentences] == ["scgen"]
