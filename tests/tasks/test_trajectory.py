"""A trajectory through a planted fork: what is written, what is found, and what is refused in one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import stats

from cellwright.dynamics.lineage_tree import LineageTree, Segment
from cellwright.errors import DataError, MissingKey, OptionError, UnsuitableValues
from cellwright.metrics.branch_f1 import branch_f1
from cellwright.tasks import TASKS
from cellwright.tasks.trajectory import TrajectoryOptions, segment_names, trajectory

N_OBS = 300
BOTH = {"label_key": "label", "time_key": "time"}


def planted(seed=0):
    """A stem up to pseudotime .4, then branches A and B at right angles: cells, their pseudotime and branch."""
    rng = np.random.default_rng(seed)
    time = rng.random(N_OBS)
    branch = np.where(time < 0.4, 0, rng.integers(1, 3, N_OBS))
    beyond = np.maximum(time - 0.4, 0)
    side = np.array([0, 1, -1])[branch]
    latent = np.column_stack([np.minimum(time, 0.4) + 0.7 * beyond, side * beyond, np.zeros(N_OBS)])
    latent += 0.03 * rng.normal(size=latent.shape)
    obs = pd.DataFrame({"label": pd.Categorical(np.array(["stem", "A", "B"])[branch]), "time": np.round(4 * time) / 4})
    obs.index = [f"cell_{row}" for row in range(N_OBS)]
    return AnnData(obs=obs, obsm={"X": latent.astype(np.float32)}), time, branch


@pytest.fixture(scope="module")
def known():
    return planted()


@pytest.fixture
def cells(known):
    return known[0].copy()


def found(cells, keys=BOTH, seed=0, **options):
    trajectory(cells, TrajectoryOptions(**options), use_rep="X", seed=seed, **keys)
    return cells


@pytest.fixture(scope="module")
def one(known):
    return found(known[0].copy())


def fates(cells):
    return cells.uns["trajectory"]["fates"].tolist()


def in_two_parts(cells):
    """The first half of the cells far from the others; each half is a fork of its own."""
    cells.obsm["X"] = np.concatenate([cells.obsm["X"][:150], cells.obsm["X"][150:] + 5])
    cells.obs["label"] = pd.Categorical(np.repeat(["first", "second"], 150))
    return cells


# what it finds


def test_pseudotime_is_the_planted_one(one, known):
    order = one.obs["pseudotime"].to_numpy()
    assert (order.min(), order.max()) == (0, 1)
    assert stats.spearmanr(order, known[1]).statistic > 0.97


def test_ends_fork_and_branches_are_the_planted_ones(one, known):
    _, time, branch = known
    assert sorted(fates(one)) == ["A", "B"]
    assert branch_f1(branch, one.obs["branch"].astype(object).to_numpy()) > 0.8
    tree = one.uns["trajectory"]["tree"].set_index("segment")
    assert tree["parent"].to_dict() == {"trunk": "", "A": "trunk", "B": "trunk"}
    assert tree.loc["trunk", "end"] == pytest.approx(0.4, abs=0.1)
    assert tree["n_cells"].sum() == N_OBS
    for name in ("A", "B"):
        assert np.median(time[(one.obs["terminal"] == name).to_numpy()]) > 0.9


def test_fates_are_sure_in_a_branch_and_open_in_the_stem(one, known):
    _, time, branch = known
    of_a = one.obsm["fates"][:, fates(one).index("A")]
    assert of_a[(branch == 1) & (time > 0.6)].mean() > 0.95
    assert of_a[(branch == 2) & (time > 0.6)].mean() < 0.05
    assert of_a[time < 0.3].mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("scheme", ["hard", "soft", "transport"])
def test_every_scheme_writes_a_walk_and_fates_that_sum_to_one(cells, scheme):
    found(cells, transitions=scheme)
    np.testing.assert_allclose(np.asarray(cells.obsp["transitions"].sum(axis=1)).ravel(), 1, atol=1e-5)
    np.testing.assert_allclose(cells.obsm["fates"].sum(axis=1), 1, atol=1e-6)
    assert sorted(fates(cells)) == ["A", "B"]


def test_diffusion_pseudotime_is_asked_from_the_root_and_brought_to_one(cells, monkeypatch):
    """It compiles for a minute, and has its own tests."""
    asked = []

    def made(latent, root, seed, n_neighbors):
        asked.append((root, seed, n_neighbors))
        return 7 * np.linalg.norm(latent - latent[root], axis=1)

    monkeypatch.setattr("cellwright.tasks.trajectory.diffusion_pseudotime", made)
    found(cells, {}, seed=3, root="cell_9", pseudotime="diffusion", n_neighbors=20)
    assert asked == [(9, 3, 10)]
    far = np.linalg.norm(cells.obsm["X"] - cells.obsm["X"][9], axis=1)
    np.testing.assert_allclose(cells.obs["pseudotime"], far / far.max(), rtol=1e-6)


# what it writes


def test_it_writes_its_keys_and_nothing_else(one, known):
    before = known[0]
    slots = ("obs", "var", "obsm", "obsp", "varm", "varp", "uns", "layers")
    new = {f"{slot}/{key}" for slot in slots for key in set(getattr(one, slot).keys()) - set(getattr(before, slot))}
    assert new == set(TASKS["trajectory"].writes)
    assert one.obs["pseudotime"].dtype == np.float64
    assert all(isinstance(one.obs[name].dtype, pd.CategoricalDtype) for name in ("branch", "terminal"))
    assert one.obsm["fates"].shape == (N_OBS, 2)
    assert one.obsp["transitions"].dtype == np.float32
    assert list(one.obs["terminal"].cat.categories) == fates(one)
    assert one.obs["terminal"].notna().sum() == 2 * 16
    assert json.loads(one.uns["trajectory"]["options"]) == json.loads(TrajectoryOptions().model_dump_json())
    assert one.uns["trajectory"]["root_is_proposed"] is False
    np.testing.assert_array_equal(one.obsm["X"], before.obsm["X"])


def test_it_is_kept_in_a_file(one, tmp_path):
    one.write_h5ad(tmp_path / "cells.h5ad")
    again = read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(again.uns["trajectory"]["tree"], one.uns["trajectory"]["tree"], check_dtype=False)
    pd.testing.assert_series_equal(again.obs["branch"], one.obs["branch"])
    assert again.uns["trajectory"]["fates"].tolist() == fates(one)


def test_it_repeats(one, cells):
    found(cells)
    pd.testing.assert_frame_equal(cells.obs, one.obs)
    np.testing.assert_array_equal(cells.obsm["fates"], one.obsm["fates"])


def test_the_order_of_cells_does_not_matter(one, cells):
    shuffled = found(cells[np.random.default_rng(0).permutation(N_OBS)].copy())
    pd.testing.assert_series_equal(shuffled.obs["pseudotime"][one.obs_names], one.obs["pseudotime"])
    assert (shuffled.obs["branch"].astype(str)[one.obs_names] == one.obs["branch"].astype(str)).all()


def test_the_unit_and_the_place_of_the_latent_do_not_matter(one, cells):
    cells.obsm["X"] = 1000 * cells.obsm["X"].astype(np.float64) - 70
    found(cells)
    np.testing.assert_allclose(cells.obs["pseudotime"], one.obs["pseudotime"], atol=1e-4)
    assert (cells.obs["branch"] == one.obs["branch"]).all()


def test_a_second_trajectory_takes_the_place_of_the_first(one, known):
    """And the features that followed the first are not left beside it."""
    cells = found(known[0].copy(), root="A")
    cells.uns["changes"] = pd.DataFrame({"lineage": ["stem"]})
    found(cells)
    assert "changes" not in cells.uns
    pd.testing.assert_frame_equal(cells.obs, one.obs)
    np.testing.assert_array_equal(cells.obsm["fates"], one.obsm["fates"])


# roots


def test_a_root_can_be_a_cell(cells, known):
    root = int(np.argmin(known[1]))
    found(cells, {}, root=f"cell_{root}")
    assert cells.obs["pseudotime"].iloc[root] == 0
    assert cells.uns["trajectory"]["roots"].tolist() == [f"cell_{root}"]
    assert fates(cells) == ["end 1", "end 2"]


def test_a_root_can_be_a_label_and_is_among_its_cells(cells):
    found(cells, root="A")
    assert (cells.obs.loc[cells.uns["trajectory"]["roots"], "label"] == "A").all()
    assert set(fates(cells)) - {"A"} == {"stem", "B"}


def test_the_root_of_a_label_with_one_cell_is_that_cell(cells):
    cells.obs["label"] = cells.obs["label"].astype(object)
    cells.obs.loc["cell_7", "label"] = "lone"
    found(cells, root="lone")
    assert cells.uns["trajectory"]["roots"].tolist() == ["cell_7"]


def test_with_a_time_the_root_is_among_the_earliest(one):
    assert (one.obs.loc[one.uns["trajectory"]["roots"], "time"] == 0).all()


def test_without_a_root_one_end_is_taken_and_that_is_said(cells):
    with pytest.warns(
        UserWarning, match=r"no root was given.*cell_\d+ \(\w+\).*Give root \(cell or label\), or time_key"
    ):
        found(cells, {"label_key": "label"})
    assert cells.uns["trajectory"]["root_is_proposed"] is True
    assert cells.obs["pseudotime"].min() == 0


def test_an_end_without_a_label_is_said_without_one(cells):
    cells.obs["label"] = pd.Series([None] * N_OBS, cells.obs_names, dtype=object)
    with pytest.warns(UserWarning, match=r"one end of the graph, cell cell_\d+; the other end is cell_\d+, and"):
        found(cells, {"label_key": "label"})


# ends


def test_ends_can_be_labels(cells):
    found(cells, terminal=("B", "A"))
    assert fates(cells) == ["B", "A"]
    assert (cells.obs["label"][cells.obs["terminal"] == "A"] == "A").all()


def test_an_end_can_be_a_label_of_one_cell(cells, known):
    cells.obs["label"] = cells.obs["label"].astype(object)
    last = cells.obs_names[np.argmax(np.where(known[2] == 1, known[1], 0))]
    cells.obs.loc[last, "label"] = "lone"
    found(cells, terminal=("lone", "B"))
    assert cells.obs["terminal"].value_counts().to_dict() == {"B": 16, "lone": 1}


@pytest.mark.parametrize("labels", [(0, 1, 2), (np.nan, 1.0, 2.0)], ids=["whole", "beside missing ones"])
def test_numbers_are_labels(cells, known, labels):
    cells.obs["label"] = np.array(labels)[known[2]]
    found(cells, terminal=("1", "2"))
    assert fates(cells) == ["1", "2"]


def test_cells_without_a_label_are_cells(cells, known, one):
    cells.obs["label"] = pd.Series(np.where(known[2] == 0, None, cells.obs["label"].astype(object)), cells.obs_names)
    found(cells)
    assert fates(cells) == fates(one)
    cells = known[0].copy()
    cells.obs["label"] = pd.Series([None] * N_OBS, cells.obs_names, dtype=object)
    assert fates(found(cells)) == ["end 1", "end 2"]


# names


@pytest.mark.parametrize(
    ("labels", "ends"),
    [
        (("stem", "trunk", "A"), {"trunk", "A"}),
        (("stem", "A", "A"), {"A", "A (2)"}),
        (("stem", "A", "A (2)"), {"A", "A (2)"}),
        (("A", "A", "trunk"), {"A", "trunk"}),
    ],
    ids=["an end called trunk", "two ends of one label", "a numbered label", "trunk and a label twice"],
)
def test_ends_and_segments_have_names_of_their_own(cells, known, labels, ends):
    cells.obs["label"] = np.array(labels)[known[2]]
    found(cells)
    assert set(fates(cells)) == ends
    tree = cells.uns["trajectory"]["tree"]
    assert tree["segment"].is_unique
    assert ends <= set(tree["segment"])
    assert set(tree["parent"]) <= {"", *tree["segment"]}


def test_a_segment_that_is_called_as_a_fate_is_numbered():
    fork = (Segment(-1, 0, 0.1, (0, 1, 2)), Segment(0, 0.1, 1, (0,)), Segment(0, 0.1, 0.5, (1, 2)))
    tips = (Segment(2, 0.5, 1, (1,)), Segment(2, 0.5, 1, (2,)))
    tree = LineageTree(np.arange(3), fork + tips)
    assert segment_names(tree, ["A + B", "A", "B"]) == ["trunk", "A + B", "A + B (2)", "A", "B"]
    assert segment_names(tree, ["C", "A", "B"]) == ["trunk", "C", "A + B", "A", "B"]
    assert segment_names(tree, ["trunk", "trunk (2)", "B"])[0] == "trunk (3)"


# parts of a graph


def test_parts_that_nothing_connects_are_named_and_infinite(cells):
    in_two_parts(cells)
    with pytest.warns(UserWarning, match=r"nothing connects with the root \(150, mostly second.*bridge"):
        found(cells, {"label_key": "label"}, root="cell_3")
    far = cells.obs["label"] == "second"
    assert np.isinf(cells.obs["pseudotime"][far]).all()
    assert cells.obs["branch"][far].isna().all()
    assert np.isnan(cells.obsm["fates"][far.to_numpy()]).all()


@pytest.mark.parametrize("scheme", ["hard", "soft"])
def test_a_bridge_joins_parts_in_pseudotime_and_in_the_walk(cells, scheme):
    in_two_parts(cells)
    found(cells, root="cell_3", bridge=True, transitions=scheme)
    order, far = cells.obs["pseudotime"], cells.obs["label"] == "second"
    assert np.isfinite(order).all()
    assert order[far].min() > order[~far].max()
    np.testing.assert_allclose(cells.obsm["fates"].sum(axis=1), 1, atol=1e-6)
    assert cells.obs["branch"].notna().all()


def test_a_connected_graph_is_as_without_a_bridge(one, cells):
    found(cells, bridge=True)
    pd.testing.assert_frame_equal(cells.obs, one.obs)


def test_an_end_that_is_not_reached_is_refused(cells):
    in_two_parts(cells)
    with (
        pytest.warns(UserWarning, match="nothing connects"),
        pytest.raises(OptionError, match=r"no cell of 'second' is\."),
    ):
        found(cells, {"label_key": "label"}, root="cell_3", terminal=("second",))


# few or strange cells


@pytest.mark.parametrize("n_obs", [3, 12], ids=["three", "fewer than neighbours"])
def test_few_cells_have_an_order(cells, n_obs):
    few = found(cells[:n_obs].copy(), {}, root="cell_0")
    assert few.obs["pseudotime"].iloc[0] == 0
    assert few.obs["pseudotime"].max() == 1
    assert few.obs["branch"].notna().all()


def test_identical_cells_have_one_pseudotime_and_one_end(cells):
    cells.obsm["X"] = np.ones((N_OBS, 3))
    found(cells)
    assert (cells.obs["pseudotime"] == 0).all()
    assert len(fates(cells)) == 1


def test_a_latent_may_be_one_dimension(cells):
    cells.obsm["X"] = np.linspace(0, 1, N_OBS)[:, None]
    found(cells, root="cell_0")
    np.testing.assert_allclose(cells.obs["pseudotime"], np.linspace(0, 1, N_OBS), atol=0.03)
    assert len(fates(cells)) == 1


def test_a_single_cell_far_away_does_not_spoil_the_walk(cells):
    cells.obsm["X"] = np.concatenate([[[1e3, 0, 0]], cells.obsm["X"][1:]]).astype(np.float32)
    found(cells, transitions="transport")
    assert np.isfinite(cells.obsp["transitions"].data).all()


def test_cells_without_a_time_are_in_the_transport(cells):
    cells.obs.loc[cells.obs_names[::5], "time"] = np.nan
    found(cells, transitions="transport")
    assert np.isfinite(cells.obsm["fates"]).all()


@pytest.mark.parametrize(
    "time",
    [
        lambda obs: obs["time"].astype(object),
        lambda obs: pd.Categorical(obs["time"]),
        lambda obs: pd.array((4 * obs["time"]).astype(int), dtype="Int64"),
        lambda obs: obs["time"].astype(str),
    ],
    ids=["object", "category", "Int64", "numbers as text"],
)
def test_a_time_is_a_number_in_any_column(cells, one, time):
    cells.obs["time"] = time(cells.obs)
    np.testing.assert_array_equal(found(cells).obs["pseudotime"], one.obs["pseudotime"])


# what is refused


@pytest.mark.parametrize(
    ("options", "keys", "said"),
    [
        ({"root": "stme"}, BOTH, r"root .* must be a cell or a label; 'stme' is none, .*Did you mean 'stem'"),
        ({"root": "stem"}, {}, "no label_key is given"),
        ({"terminal": ("C",)}, BOTH, r"terminal .* must be a label; 'C' is none, the labels are A, B, stem"),
        ({"terminal": ("A",)}, {"time_key": "time"}, "no label_key is given"),
        ({"transitions": "transport"}, {"label_key": "label"}, r"no time_key is given\. Give time_key"),
    ],
    ids=["no such root", "root without labels", "no such end", "end without labels", "transport without time"],
)
def test_a_root_an_end_and_a_time_that_are_not_there_are_refused(cells, options, keys, said):
    with pytest.raises(OptionError, match=said):
        found(cells, keys, **options)
    assert "pseudotime" not in cells.obs


def test_an_end_twice_is_refused():
    with pytest.raises(
        OptionError, match=r"terminal of TrajectoryOptions must be different labels; it is \('A', 'A'\)"
    ):
        TrajectoryOptions(terminal=("A", "A"))


def test_a_bridge_for_diffusion_which_would_change_nothing_is_refused():
    with pytest.raises(OptionError, match=r"bridge .* must be false where pseudotime is 'diffusion'"):
        TrajectoryOptions(pseudotime="diffusion", bridge=True)


def test_a_root_that_several_cells_are_called_is_refused(cells):
    cells.obs_names = ["twin", "twin", *cells.obs_names[2:]]
    with pytest.raises(OptionError, match=r"must be one cell; 2 are called 'twin'"):
        found(cells, root="twin")
    found(cells, root="cell_5")


@pytest.mark.parametrize("name", ["pseudotime", "branch", "terminal"])
def test_a_column_that_is_there_is_not_replaced(cells, name):
    cells.obs[name] = "known"
    with pytest.raises(DataError, match=rf"obs must not have '{name}'.*rename"):
        found(cells)
    assert (cells.obs[name] == "known").all()


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (1.0, "two different times at least; it has 1"),
        (np.nan, "two different times at least; it has 0"),
        ("day 3", "must hold numbers; it holds text"),
        (pd.Timestamp("2020-01-01"), "must hold numbers; it holds datetime"),
    ],
    ids=["one time", "no time", "text", "dates"],
)
def test_times_that_give_no_order_are_refused(cells, column, said):
    cells.obs["time"] = column
    with pytest.raises(DataError, match=said):
        found(cells)


@pytest.mark.parametrize("keys", [{"label_key": "lable"}, {"time_key": "lable"}], ids=["label", "time"])
def test_a_column_that_is_not_there_is_refused(cells, keys):
    with pytest.raises(MissingKey, match=r"obs has no 'lable'.*Did you mean 'label'"):
        found(cells, keys)


def test_a_latent_that_is_not_there_not_finite_or_of_two_cells_is_refused(cells):
    with pytest.raises(MissingKey, match="obsm has no 'X_vae'"):
        trajectory(cells, use_rep="X_vae")
    with pytest.raises(DataError, match=r"three cells at least; there are 2"):
        found(cells[:2].copy())
    cells.obsm["X"][4, 1] = np.nan
    with pytest.raises(UnsuitableValues, match="1 of 300 cells hold NaN"):
        found(cells)
