"""Transitions that a model says, on a planted chain of states."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.errors import DataError
from cellwright.models import build
from cellwright.tasks.state_transitions import (
    clustered_states,
    labelled_states,
    score_transitions,
    state_transitions,
)
from cellwright.train.fit import fit

CHAIN = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
N, N_STEPS = 200, 6


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    states = np.zeros((N, N_STEPS), dtype=int)
    for step in range(1, N_STEPS):
        states[:, step] = [rng.choice(3, p=CHAIN[s]) for s in states[:, step - 1]]
    values = (10.0 * states + rng.normal(0, 0.3, states.shape)).astype(np.float32)
    values[0, 3] = np.nan
    source = open_data(
        AnnData(values, var=pd.DataFrame({"t": range(N_STEPS)}, index=[f"t{i}" for i in range(N_STEPS)])), step_key="t"
    )
    return source, states


def fitted(name, source, **options):
    model = build(name, source.schema, **options)
    fit(model, source, progress=False)
    return model


def square(table, column):
    return table[column].to_numpy().reshape(3, 3)


def test_clusters_of_steps_are_the_states_in_order_of_time(planted):
    source, states = planted
    found = clustered_states(source, np.arange(100), 3)
    assert found.names == ("state 1", "state 2", "state 3")
    assert found.codes[0, 3] == -1
    known = found.codes >= 0
    assert (found.codes[known] == states[known]).all()
    assert found.of(np.array([[0.1], [19.0]])).tolist() == [0, 2]


def test_a_markov_chain_says_what_followed_and_persistence_that_all_stays(planted):
    source, _ = planted
    states = clustered_states(source, np.arange(N), 3)
    table = state_transitions(fitted("markov_chain", source, n_states=3), source, states, np.arange(N))
    np.testing.assert_allclose(square(table, "reference"), CHAIN, atol=0.08)
    np.testing.assert_allclose(square(table, "learned"), square(table, "reference"), atol=0.05)
    scores = score_transitions(table, held_out=True).set_index("metric")["value"]
    assert scores["transition_l1"] < 0.05
    assert scores["terminal_recall"] == 1


def test_labels_of_steps_can_be_given_and_a_graph_can_be_the_reference(planted):
    source, codes = planted
    labels = np.array(["early", "middle", "end"], dtype=object)[codes]
    labels[1, 2] = None
    states = labelled_states(source, np.arange(100), labels)
    assert states.names == ("early", "end", "middle")
    assert states.codes[1, 2] == -1
    assert states.of(np.array([[0.0], [10.0], [20.0]])).tolist() == [0, 2, 1]
    order = [0, 2, 1]
    graph = CHAIN[order][:, order]
    model = fitted("markov_chain", source, n_states=3)
    table = state_transitions(model, source, states, np.arange(100, N), reference=graph)
    np.testing.assert_array_equal(square(table, "reference"), graph)
    assert score_transitions(table, held_out=True).set_index("metric")["value"]["transition_l1"] < 0.1
    assert table["from"].tolist()[:3] == ["early"] * 3


def test_labels_of_another_shape_and_data_without_steps_are_refused(planted):
    source, codes = planted
    with pytest.raises(DataError, match=r"labels must be \(200, 6\)"):
        labelled_states(source, np.arange(9), codes[:, :2].astype(str))
    plain = open_data(AnnData(np.ones((4, 3), np.float32)))
    with pytest.raises(DataError, match="no step_key was given"):
        clustered_states(plain, np.arange(4))


def test_of_single_steps_nothing_follows_and_of_several_sequences_the_longest_counts():
    rng = np.random.default_rng(0)
    short = open_data(
        AnnData(rng.normal(size=(9, 1)).astype(np.float32), var=pd.DataFrame({"t": [0]}, index=["a"])), step_key="t"
    )
    table = state_transitions(
        fitted("persistence", short), short, clustered_states(short, np.arange(9), 2), np.arange(9)
    )
    assert table[["learned", "reference"]].isna().all(axis=None)
    assert not len(score_transitions(table, held_out=True))
    var = pd.DataFrame({"t": [0, 1, 0, 1, 2], "e": ["a", "a", "b", "b", "b"]}, index=list("vwxyz"))
    two = open_data(AnnData(rng.normal(size=(9, 5)).astype(np.float32), var=var), step_key="t", sequence_key="e")
    states = clustered_states(two, np.arange(9), 2)
    assert states.codes.shape == (9, 3)
    assert state_transitions(fitted("persistence", two), two, states, np.arange(9))["n"].max() > 0
    with pytest.raises(DataError, match="a step that was measured"):
        clustered_states(two, np.arange(0))


def test_where_nothing_was_measured_next_a_model_is_not_asked():
    # of what is in the second state nothing has a next step that was measured
    values = np.array([[0.0, 0.0, 0.0]] * 8 + [[0.0, 10.0, np.nan]] * 8, dtype=np.float32)
    source = open_data(AnnData(values, var=pd.DataFrame({"t": range(3)}, index=list("abc"))), step_key="t")
    states = clustered_states(source, np.arange(16), 2)
    model = fitted("persistence", source)
    table = state_transitions(model, source, states, np.arange(16)).set_index(["from", "to"])
    assert table.loc["state 2", ["learned", "reference"]].isna().all(axis=None)
    given = state_transitions(model, source, states, np.arange(16), reference=np.eye(2)).set_index(["from", "to"])
    assert given.loc["state 2", "learned"].notna().all()
