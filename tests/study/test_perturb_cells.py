"""The cells of a group: small labels are left out, treated cells of the held-out labels are the test part."""

import numpy as np
import pytest

from cellwright.core.support import Support
from cellwright.data.open import open_data
from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import held_out_combination_split
from cellwright.errors import OptionError
from cellwright.study import perturb_cells
from cellwright.study.perturb_cells import (
    CellOptions,
    cells_of,
    n_without_condition,
    other_treatments,
    refuse_unsuitable,
    scored_labels,
    small_labels,
    usual_preprocessing,
    with_usable_models,
    within,
)
from cellwright.study.perturb_plan import Group, PerturbOptions

KEYS = OpenOptions(label_key="label", condition_key="condition", control="control")


@pytest.fixture(scope="module")
def source():
    """100, 80, 16 and 4 cells; of the last one none is treated."""
    options = SimulateOptions(n_obs=200, n_vars=30, n_latent=3, label_shares=(100, 80, 16, 4), treated_share=0.5)
    adata = simulate(options, seed=0).adata
    adata.obs.loc[adata.obs["label"] == "type_4", "condition"] = "control"
    return open_data(adata, **dict(KEYS))


def options(**changes):
    return CellOptions(
        **{"keys": KEYS, "preprocessing": None, "treated": "treated", "min_cells": 50, "validation": 0.1, **changes}
    )


def test_small_labels_are_left_out_but_not_what_is_held_out_or_has_one_side_only(source):
    assert small_labels(source, Group(0, ("type_1",)), options()) == ["type_3"]
    assert small_labels(source, Group(0, ("type_3",)), options()) == []
    assert small_labels(source, Group(0, ("type_1",)), options(min_cells=10)) == []
    cells = cells_of(source, Group(0, ("type_1",)), options())
    assert cells.source.schema.label.values == ("type_1", "type_2", "type_4")
    assert cells.source.n_obs == 184


def test_the_test_cells_are_the_treated_ones_of_all_that_is_held_out(source):
    cells = cells_of(source, Group(1, ("type_1", "type_3")), options())
    label, condition = cells.source.annotation.label, cells.source.annotation.condition
    assert set(cells.split.test) == set(np.flatnonzero(np.isin(label, [0, 2]) & (condition == 1)))
    n_rest = cells.source.n_obs - len(cells.split.test)
    assert len(cells.split.validation) == round(0.1 * n_rest)


@pytest.fixture
def several():
    """150 cells of three labels under two treatments; of some of `type_1` the condition is not known."""
    adata = simulate(SimulateOptions(n_obs=150, n_vars=30, n_latent=3, treated_share=0.5), seed=0).adata
    obs = adata.obs.astype(object)
    obs["label"] = np.repeat(["type_1", "type_2", "type_3"], 50)
    obs["condition"] = np.tile(["control"] * 4 + ["treated"] * 4 + ["other"] * 2, 15)
    adata.obs = obs
    return adata


def test_cells_of_a_held_out_type_that_may_be_treated_are_left_out(several):
    several.obs.loc[several.obs_names[[4, 5, 54]], "condition"] = np.nan
    source, group = open_data(several, **dict(KEYS)), Group(0, ("type_1",))
    cells = cells_of(source, group, options(min_cells=10))
    assert cells.source.n_obs == 148  # the one of type_2 stays
    assert len(cells.split.test) == 18
    assert not ((cells.source.annotation.label == 0) & (cells.source.annotation.condition < 0)).any()
    assert n_without_condition(source, group) == 2


def test_cells_of_a_held_out_type_under_another_treatment_stay_and_are_counted(several):
    source, group = open_data(several, **dict(KEYS)), Group(0, ("type_1",))
    cells = cells_of(source, group, options(min_cells=10))
    assert cells.source.n_obs == 150
    assert other_treatments(source, group, options(min_cells=10)) == {"other": 10}
    assert len(cells.split.test) == 20


def test_few_control_cells_of_a_held_out_type_all_train_and_many_stay_as_chance_has_it(several):
    rare = (several.obs["label"] != "type_1") | (several.obs["condition"] != "control")
    rare.iloc[[0, 1]] = True
    for adata, few in ((several[rare.to_numpy()].copy(), True), (several, False)):
        source = open_data(adata, **dict(KEYS))
        condition = source.annotation.condition
        controls = np.flatnonzero((source.annotation.label == 0) & (condition == source.schema.control_code))
        treated = list(source.schema.condition.values).index("treated")
        in_validation = []
        for seed in range(20):
            split = cells_of(source, Group(seed, ("type_1",)), options(min_cells=10)).split
            by_chance = held_out_combination_split(
                source.annotation.label, condition, label=[0], condition=[treated], validation=0.1, seed=seed
            )
            in_validation.append(np.isin(controls, by_chance.validation).any())
            assert few or np.array_equal(split.validation, by_chance.validation)
            assert not few or np.isin(controls, split.train).all()
        assert any(in_validation)


def test_a_label_with_a_comma_is_told_how_to_be_named(several):
    several.obs["label"] = several.obs["label"].replace("type_3", "T cell, CD4")
    source = open_data(several, **dict(KEYS))
    with pytest.raises(OptionError, match="""quoted: '"T cell, CD4"'"""):
        refuse_unsuitable(source, Group(0, ("T cell",)), options(min_cells=10))


def test_another_seed_divides_the_others_differently_and_tests_on_the_same(source):
    one, other = (cells_of(source, Group(seed, ("type_1",)), options()).split for seed in (0, 1))
    assert np.array_equal(one.test, other.test)
    assert not np.array_equal(one.validation, other.validation)


def test_a_label_that_was_never_treated_leaves_no_test_cell_and_no_score(source):
    group = Group(0, ("type_4",))
    assert len(cells_of(source, group, options()).split.test) == 0
    assert scored_labels(source, Group(0, ("type_1", "type_4")), "treated") == ["type_1"]


def test_the_most_variable_genes_are_chosen_where_there_are_many_and_values_are_counts(source, monkeypatch):
    assert usual_preprocessing(source) is None
    monkeypatch.setattr(perturb_cells, "N_TOP_GENES", 20)
    assert usual_preprocessing(source) == PreprocessOptions(n_top_genes=20, hvg_flavor="seurat")
    assert within(source, Support.counts)
    assert (
        cells_of(
            source, Group(0, ("type_1",)), options(preprocessing=PreprocessOptions(n_top_genes=20))
        ).source.schema.n_vars
        == 20
    )


def test_the_network_that_needs_counts_is_left_out_of_other_values_unless_it_is_named():
    counts = simulate(SimulateOptions(n_obs=60, n_vars=20, treated_share=0.5), seed=0).adata
    real = counts.copy()
    real.X = real.X * 0.37
    usual, named = PerturbOptions(hold_out=("a",)), PerturbOptions(hold_out=("a",), models=("response_vae",))
    assert with_usable_models(usual, open_data(counts)) == usual
    assert with_usable_models(usual, open_data(real)).models == ("scgen",)
    assert with_usable_models(named, open_data(real)) == named
