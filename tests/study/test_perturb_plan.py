"""The plan of a perturbation study: every seed with every held-out label, every model with every remedy."""

import pytest

from cellwright.errors import AbilityError, OptionError
from cellwright.models import MODELS
from cellwright.study.perturb_plan import Group, PerturbOptions, groups_of, training_of, variants_of
from cellwright.train.options import FitOptions

OF_SCREENS = [name for name, entry in MODELS.items() if entry.model.is_baseline and "perturbs" in entry.abilities]
BASELINES = [name for name in OF_SCREENS if name != "mean_response"]  # with one treatment it is gene_shift


def plan(**options):
    return PerturbOptions(**{"hold_out_each": ("A", "B"), "models": ("scgen",), **options})


def test_a_seed_is_run_with_every_label_before_the_next():
    assert groups_of(plan(seeds=2)) == [Group(0, ("A",)), Group(0, ("B",)), Group(1, ("A",)), Group(1, ("B",))]
    assert groups_of(PerturbOptions(hold_out=("A", "B"), seeds=1)) == [Group(0, ("A", "B"))]


def test_there_are_three_seeds_and_one_in_a_quick_look_unless_said_otherwise():
    assert [plan().n_seeds, plan(quick=True).n_seeds, plan(quick=True, seeds=2).n_seeds] == [3, 1, 2]


def test_a_quick_look_is_short_unless_said_otherwise_and_says_so():
    training = training_of(plan(quick=True), FitOptions())
    assert training.max_epochs == 15
    assert training_of(plan(quick=True), FitOptions(max_epochs=4)).max_epochs == 4
    assert training_of(plan(), FitOptions()).max_epochs is None
    settings = [variant.setting for variant in variants_of(plan(quick=True), FitOptions())]
    assert settings == [""] * len(BASELINES) + ["quick: 15 epochs at most"]


def test_baselines_come_first_and_once_without_remedies():
    variants = variants_of(plan(balance=("over", "under")), FitOptions())
    assert [variant.model for variant in variants] == BASELINES + ["scgen"] * 7
    assert {"no_change", "treated_mean", "gene_shift", "gene_shift_raw", "gene_shift_similar", "pca_shift"} <= {
        *BASELINES
    }


def test_a_remedy_acts_in_the_training_in_the_shift_and_in_both():
    variants = variants_of(plan(balance=("over",)), FitOptions())[len(BASELINES) :]
    assert [variant.setting for variant in variants] == [
        "",
        *(f"balance=over in {w}" for w in ("training", "shift", "both")),
    ]
    acts = [
        (variant.fit_options(FitOptions(), 5).balance.name, variant.options().shift_balance.name)
        for variant in variants
    ]
    assert acts == [("none", "none"), ("over", "none"), ("none", "over"), ("over", "over")]
    assert {variant.fit_options(FitOptions(), 5).seed for variant in variants} == {5}


def test_where_limits_it_and_a_remedy_has_settings():
    remedy = "smote:n_neighbours=3:by=label_condition"
    variants = variants_of(plan(balance=(remedy,), where=("shift",)), FitOptions())[len(BASELINES) :]
    assert [variant.setting for variant in variants] == ["", f"balance={remedy} in shift"]
    balance = variants[1].options().shift_balance
    assert (balance.n_neighbours, balance.by) == (3, "label_condition")


def test_none_is_always_run_and_once():
    assert plan(balance=("over", "none", "over")).balance == ("none", "over")


def test_a_remedy_in_another_spelling_is_the_same_remedy():
    assert plan(balance=("over", "over:by=label", "over:by=condition")).balance == ("none", "over", "over:by=condition")


def test_a_baseline_that_is_asked_for_by_name_is_not_added_again():
    models = [variant.model for variant in variants_of(plan(models=("gene_shift", "scgen")), FitOptions())]
    assert sorted(models) == sorted([*BASELINES, "scgen"])


def test_the_mean_response_is_a_baseline_of_screens_unless_it_is_asked_for():
    models = [variant.model for variant in variants_of(plan(treated="all"), FitOptions())]
    assert models == [*OF_SCREENS, "scgen"]
    asked = [variant.model for variant in variants_of(plan(models=("mean_response",)), FitOptions())]
    assert sorted(asked) == sorted(OF_SCREENS)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: PerturbOptions(), OptionError, "hold_out or hold_out_each must name labels .* none does"),
        (lambda: plan(hold_out=("C",)), OptionError, "both do"),
        (lambda: PerturbOptions(hold_out=("C",), treated="all"), OptionError, "treated=all must go with hold_out_each"),
        (lambda: plan(balance=("overr",)), OptionError, "balance must be one of none, .*Did you mean 'over'"),
        (lambda: plan(where=("train",)), OptionError, "where"),
        (lambda: variants_of(plan(models=("vae",)), FitOptions()), AbilityError, "vae cannot predict responses"),
        (lambda: variants_of(plan(models=("scgen", "scgen")), FitOptions()), OptionError, "scgen is there twice"),
    ],
    ids=["nothing held out", "both", "screen", "remedy", "where", "ability", "twice"],
)
def test_what_cannot_be_run_is_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
