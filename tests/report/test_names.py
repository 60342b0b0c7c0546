from dataclasses import replace

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.names import name_of, names_of

QUICK = "n_latent=8, quick: 6 epochs at most"


@pytest.fixture
def contents(responses):
    return read_contents(responses)


def test_names_leave_out_what_all_settings_of_a_model_share(contents):
    settings = [QUICK, f"{QUICK}, balance=over in shift"]
    contents.leaderboard = pd.DataFrame({"model": ["scgen", "scgen", "pca"], "setting": [*settings, "x=1"]})
    contents.runs = []
    names = names_of(contents)
    assert [name.text for name in names.values()] == ["scgen", "scgen · over in shift", "pca"]
    assert names[f"scgen ({QUICK})"].shared == QUICK
    assert name_of(names, f"scgen ({settings[1]})") == "scgen · over in shift"
    assert name_of(names, "unknown (a=1)") == "unknown (a=1)"


def test_a_run_that_is_not_finished_does_not_change_the_names(contents):
    contents.leaderboard = pd.DataFrame({"model": ["scgen"] * 2, "setting": [QUICK, f"{QUICK}, balance=over in shift"]})
    contents.runs = [run for run in contents.runs if run.record.model == "scgen"]
    for run in contents.runs:
        run.record = replace(run.record, status="running")
    assert [name.text for name in names_of(contents).values()] == ["scgen", "scgen · over in shift"]
