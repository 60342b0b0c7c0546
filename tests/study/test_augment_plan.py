"""A plan holds every classifier with nothing and with every remedy, and refuses what adds no cells."""

import pytest

from cellwright.errors import AbilityError, OptionError
from cellwright.study.augment_plan import AugmentOptions, generators_of, name_of, twins_of, variants_of


def planned(*, are_counts=True, **options):
    plan = AugmentOptions(**options)
    return variants_of(plan, generators_of(plan, are_counts=are_counts))


def test_every_classifier_meets_nothing_and_every_remedy():
    variants = planned(models=("vae", "gan:n_noise=8"), classifiers=("knn", "logistic"), balance=("over",))
    added = ["none", "over", "nb_by_label", "vae", "gan:n_noise=8"]
    assert [(v.model, v.added) for v in variants] == [(model, one) for model in ("knn", "logistic") for one in added]
    assert variants[0].setting == ""
    assert variants[1].setting == "added=over"


def test_draws_by_label_are_there_once_and_of_counts_only():
    def names(**options):
        counts = options.pop("are_counts", True)
        return [name_of(arm) for arm in generators_of(AugmentOptions(**options), are_counts=counts)]

    assert names(models=("vae",)) == ["nb_by_label", "vae"]
    assert names(models=("vae", "nb_by_label")) == ["vae", "nb_by_label"]
    assert names(models=("vae:likelihood=gaussian",), are_counts=False) == ["vae:likelihood=gaussian"]


def test_a_remedy_in_two_spellings_is_there_once():
    assert AugmentOptions(balance=("smote", "over", "smote:n_neighbours=5")).balance == ("smote", "over")


@pytest.mark.parametrize("remedy", ["under", "weights", "none", "over:target=20", "smote:by=batch"])
def test_a_remedy_that_adds_no_cells_or_says_what_the_study_says_is_refused(remedy):
    with pytest.raises(OptionError, match="must add cells: over or smote, without by and target"):
        AugmentOptions(balance=(remedy,))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"models": ("pca",)}, "'generates'; pca lacks it"), ({"classifiers": ("vae",)}, "'classifies'; vae lacks it")],
    ids=["no generator", "no classifier"],
)
def test_a_model_without_the_ability_is_refused(options, said):
    with pytest.raises(AbilityError, match=said):
        planned(**options)


def test_the_same_model_twice_is_refused():
    with pytest.raises(OptionError, match="classifiers of AugmentOptions must be different; knn is there twice"):
        planned(classifiers=("knn", "logistic", "knn"))


def test_class_weights_belong_to_the_classifier_that_is_the_same_without_them():
    variants = planned(classifiers=("logistic", "logistic_balanced", "knn", "logistic_balanced:penalty=1"))
    assert [(w.model, p.model) for w, p in twins_of(variants)] == [("logistic_balanced", "logistic")]
