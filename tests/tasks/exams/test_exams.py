"""Exams: what is hidden reaches nobody, who knows the truth is best, who invents is found out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import cellwright.tasks.exams
from cellwright.data.open import open_data
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.proteins import Proteins
from cellwright.errors import DataError
from cellwright.tasks.exams import EXAMS, Exam
from cellwright.tasks.exams import halves as halves_module
from cellwright.tasks.exams.exam import Asked, counts_of, only, within_reach
from cellwright.tasks.exams.molecules import gene_pairs

N, N_VARS, HIDDEN = 300, 30, 0.2


@dataclass(frozen=True)
class Said:
    mean: np.ndarray
    draw: np.ndarray | None = None


@pytest.fixture(scope="module")
def shares():
    """Of two types of cells; the last genes are silent in one of them."""
    rng = np.random.default_rng(0)
    of_type = rng.dirichlet(np.ones(N_VARS), 2) + 0.01
    of_type[0, -3:], of_type[1, -6:-3] = 0, 0
    return (of_type / of_type.sum(axis=1, keepdims=True))[np.arange(N) % 2]


@pytest.fixture(scope="module")
def source(shares):
    counts = np.random.default_rng(1).poisson(400 * shares).astype(np.float32)
    obs = pd.DataFrame({"type": np.array(["a", "b"])[np.arange(N) % 2]}, index=[f"c{i}" for i in range(N)])
    return open_data(AnnData(sparse.csr_matrix(counts), obs=obs), label_key="type")


@pytest.fixture
def asked(source):
    protein = counts_of(source)[:, [0, 5]] + 1.0
    protein[:10] = np.nan
    return Asked(source, HIDDEN, None, seed=3, proteins=Proteins(protein, ("p", "q"), source.schema.var_names[:6:5]))


def knowing(shares):
    """What an imputation says that knows the planted shares of the cells it is given, by their names."""

    def impute(cells):
        rows = [int(name[1:]) for name in cells.annotation.obs.index]
        names = [int(name) for name in cells.schema.var_names] if cells.schema.var_names[0].isdigit() else range(N_VARS)
        of_cells = shares[rows][:, list(names)]
        of_cells = of_cells / of_cells.sum(axis=1, keepdims=True)
        return Said((counts_of(cells).sum(axis=1, keepdims=True) * of_cells).astype(np.float32))

    return impute


def as_measured(cells):
    return Said(counts_of(cells))


def flat(cells):
    counts = counts_of(cells)
    return Said(np.full_like(counts, 1 / counts.shape[1]) * counts.sum(axis=1, keepdims=True))


def scores(name, asked, impute):
    return {(metric, group): value for _, metric, value, _, group in EXAMS[name].function(asked, impute).scores}


def test_every_file_of_the_room_is_a_line_of_the_table():
    room = Path(cellwright.tasks.exams.__file__).parent
    assert {path.stem for path in room.glob("*.py")} - {"__init__", "exam"} == set(EXAMS)
    assert all(isinstance(exam, Exam) and exam.summary for exam in EXAMS.values())


@pytest.mark.parametrize("name", EXAMS)
def test_scores_repeat_under_their_seed_and_another_asks_for_other_things(name, asked, shares):
    seen = []

    def watched(cells):
        seen.append(counts_of(cells))
        return as_measured(cells)

    first, again = scores(name, asked, watched), scores(name, asked, watched)
    assert first == again
    assert first
    half = len(seen) // 2
    assert all(np.array_equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    other = Asked(asked.source, HIDDEN, None, seed=4, proteins=asked.proteins)
    scores(name, other, watched)
    if name != "protein":  # nothing is drawn there
        assert any(
            a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(seen[:half], seen[-half:], strict=True)
        )


@pytest.mark.parametrize("name", ["molecules", "entries"])
def test_what_is_hidden_is_not_among_what_is_given(name, asked, source):
    given = []

    def watched(cells):
        given.append(counts_of(cells))
        return as_measured(cells)

    EXAMS[name].function(asked, watched)
    (kept,) = given
    whole = counts_of(source)
    assert (kept <= whole).all()
    hidden = (whole - kept).sum() / whole.sum() if name == "molecules" else (kept[whole > 0] == 0).mean()
    assert hidden == pytest.approx(HIDDEN, abs=0.02)


def test_who_knows_the_rates_has_the_deviance_of_noise_and_nobody_less(asked, shares):
    found = {who.__name__: scores("molecules", asked, who) for who in (knowing(shares), as_measured, flat)}
    key = ("poisson_deviance", "")
    assert found["impute"][key] < found["as_measured"][key] < found["flat"][key]
    # twice the log-likelihood ratio of an entry is about chi-squared with one degree; little is hidden in each
    n_entries_per_molecule = N_VARS / (400 * HIDDEN)
    assert found["impute"][key] == pytest.approx(n_entries_per_molecule, rel=0.15)


def test_deviance_is_given_for_every_label(asked, shares):
    found = scores("molecules", asked, knowing(shares))
    assert {group for metric, group in found if metric == "poisson_deviance"} == {"", "a", "b"}


def test_types_stay_apart_for_who_knows_them_and_dissolve_for_who_makes_all_cells_alike(asked, shares):
    assert scores("molecules", asked, knowing(shares))["ari", ""] == pytest.approx(1)
    assert scores("molecules", asked, flat)["ari", ""] < 0.1


def test_silent_markers_are_kept_by_who_knows_them_and_lost_by_who_fills_everything(asked, shares):
    assert scores("molecules", asked, knowing(shares))["zeros_kept", ""] == 1
    assert scores("molecules", asked, flat)["zeros_kept", ""] == 0


def test_hidden_entries_are_nearer_for_who_knows_the_rates_than_for_who_leaves_zeros(asked, shares):
    knows, leaves = (scores("entries", asked, who) for who in (knowing(shares), as_measured))
    assert knows["entry_rmse", ""] < leaves["entry_rmse", ""]
    assert knows["entry_pearson_cell", ""] > 0.8
    assert leaves["entry_pearson_cell", ""] == 0


def test_a_shared_signal_in_permuted_genes_is_found_out_in_means_and_in_draws(asked):
    def invents(cells):
        counts = counts_of(cells)
        factor = np.exp(np.random.default_rng(0).normal(size=(len(counts), 1)) * np.linspace(-1, 1, counts.shape[1]))
        return Said(counts + 50 * factor.astype(np.float32), draw=counts)

    found = scores("permuted", asked, invents)
    assert found["false_correlation", ""] > 0.3
    assert found["false_correlation_drawn", ""] == 0
    assert scores("permuted", asked, as_measured) == {("false_correlation", ""): 0}


def test_a_shift_between_halves_is_found_out_and_measured_values_have_none(asked):
    shifts = iter(range(100))

    def shifted(cells):
        counts = counts_of(cells)
        moved = counts.copy()
        moved[:, ::2] *= 1 + 2 * (next(shifts) % 2)
        return Said(moved, draw=counts)

    found = scores("halves", asked, shifted)
    assert set(found) == {(f"false_markers{end}", group) for end in ("", "_drawn") for group in ("", "a", "b")}
    assert found["false_markers", ""] == pytest.approx((found["false_markers", "a"] + found["false_markers", "b"]) / 2)
    assert found["false_markers", ""] > 0.4
    assert found["false_markers_drawn", ""] < 0.05


def test_halves_are_disjoint_of_one_label_and_not_more_than_asked_for(asked, monkeypatch):
    monkeypatch.setattr(halves_module, "MOST_CELLS", 100)
    seen = []

    def watched(cells):
        seen.append(set(cells.annotation.obs.index))
        assert cells.annotation.obs["type"].nunique() == 1
        return as_measured(cells)

    EXAMS["halves"].function(asked, watched)
    assert [len(half) for half in seen] == [50] * 4
    assert not any(first & second for first, second in zip(seen[::2], seen[1::2], strict=True))


def test_too_few_cells_are_not_halved(source):
    few = Asked(only(source, np.arange(60)), HIDDEN, None, seed=0)
    assert EXAMS["halves"].function(few, as_measured).scores == []


def test_proteins_are_asked_of_cells_that_have_them(asked):
    examined = EXAMS["protein"].function(asked, as_measured)
    table = examined.tables["proteins.csv"]
    assert table["protein"].tolist() == ["p", "q"]
    assert (table["imputed"] == table["measured"]).all()
    assert {group for *_, group in examined.scores} == {"", "a", "b"}

    def backwards(cells):
        return Said(counts_of(cells).max() - counts_of(cells))

    assert (EXAMS["protein"].function(asked, backwards).tables["proteins.csv"]["imputed"] < 0).all()


def test_genes_are_chosen_from_what_was_kept(source):
    from cellwright.data.thinning import thinned

    parts = thinned(source, np.arange(N), 0.5, np.random.default_rng(0))
    chosen = within_reach(parts, PreprocessOptions(n_top_genes=10, min_cells_per_gene=1))
    assert chosen.kept.schema.n_vars == chosen.hidden.shape[1] == 10
    at = [source.schema.var_names.index(name) for name in chosen.kept.schema.var_names]
    whole = counts_of(source)
    rows = [int(name[1:]) for name in chosen.kept.annotation.obs.index]
    assert np.array_equal(counts_of(chosen.kept) + chosen.hidden.toarray(), whole[rows][:, at])
    # the same genes, whatever was hidden
    other = within_reach(type(parts)(parts.kept, parts.hidden * 7), PreprocessOptions(n_top_genes=10))
    assert other.kept.schema.var_names == chosen.kept.schema.var_names


def test_cells_without_a_molecule_are_left_out_and_none_at_all_is_refused():
    counts = np.array([[1, 0], [0, 0], [0, 2]], np.float32)
    source = open_data(AnnData(counts, obs=pd.DataFrame(index=["x", "y", "z"])))
    assert only(source, np.arange(3)).annotation.obs.index.tolist() == ["x", "z"]
    with pytest.raises(DataError, match="none of 1 cells has a molecule"):
        only(source, np.array([1]))


def test_gene_pairs_are_those_that_go_together_and_the_same_for_every_model():
    rng = np.random.default_rng(0)
    factor = rng.gamma(1, 4, (200, 3))
    before = np.column_stack([factor[:, [0, 0]], factor[:, [1, 1]], rng.gamma(1, 4, (200, 4))])
    before += rng.normal(0, 0.1, before.shape) ** 2
    names = tuple("abcdefgh")
    first, second = (
        gene_pairs(before, after, names, pd.Series(["t"] * 200), np.random.default_rng(0))
        for after in (before, before * 2)
    )
    pairs = list(dict.fromkeys(zip(first["gene_x"], first["gene_y"], strict=True)))
    assert set(pairs[:2]) == {("a", "b"), ("c", "d")}
    assert first[["gene_x", "gene_y", "before_x", "before_y"]].equals(
        second[["gene_x", "gene_y", "before_x", "before_y"]]
    )
    assert (second["after_x"] >= first["after_x"]).all()
    assert set(first["label"]) == {"t"}
