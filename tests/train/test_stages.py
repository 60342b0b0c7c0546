"""Stages: each is prepared from training rows, ends for a reason that is noted, and may start from another run."""

import numpy as np
import pytest
import torch

from cellwright.core.objective import Loss, Objective
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import OptionError
from cellwright.models.vae import VAE, VAEOptions
from cellwright.nn.from_data import FromData
from cellwright.run import Run
from cellwright.train.fit import fit
from cellwright.train.history import Sums
from cellwright.train.options import FitOptions
from cellwright.train.saved import save_run

SMALL = VAEOptions(n_latent=3, n_hidden=8)
SHORT = FitOptions(max_epochs=3, batch_size=32, validation=0.2, checkpoint_seconds=0)


@pytest.fixture(scope="module")
def data():
    return open_data(simulate(SimulateOptions(n_obs=200, n_vars=30, n_latent=3), seed=0).adata, label_key="label")


class Halted(Exception):
    """Stands for the power cut."""


class TwoStages(VAE):
    """A VAE trained twice, which keeps what it is prepared with; a subclass only here, where a test needs to look."""

    halts_at = 0  # step over both stages at which the power goes

    def __init__(self, schema, options=SMALL):
        super().__init__(schema, options)
        self.kept = FromData({"rows": torch.zeros(0, dtype=torch.int64), "draws": torch.zeros(0)})
        self.prepared, self.steps = [], 0

    def prepare(self, stage, source, rows, rng):
        self.prepared.append(stage)
        draw = torch.from_numpy(rng.random(1)).float()
        self.kept.set(rows=torch.from_numpy(rows), draws=torch.cat([self.kept.draws, draw]))

    def stages(self):
        objective = Objective("elbo", self.counted, trains=self)
        return [[objective], [objective]]

    def counted(self, minibatch, step):
        self.steps += self.training
        if self.training and self.steps == self.halts_at:
            raise Halted
        return self.negative_elbo(minibatch, step)


def test_every_stage_is_prepared_before_it_from_the_training_rows_only(data):
    model, split = TwoStages(data.schema), random_split(data.n_obs, validation=0.2, test=0.1, seed=0)
    fit(model, data, SHORT, split=split, progress=False)
    assert model.prepared == [0, 1]
    assert np.array_equal(model.kept.rows.numpy(), split.train)


@pytest.mark.parametrize("halts_at", [1, 4, 17, 20], ids="halted at step {}".format)
def test_a_fit_that_died_in_either_stage_resumes_to_the_same_weights_and_to_what_was_prepared(data, tmp_path, halts_at):
    whole = TwoStages(data.schema)
    history = fit(whole, data, SHORT, run=tmp_path / "whole", progress=False)
    halted = TwoStages(data.schema)
    halted.halts_at = halts_at
    with pytest.raises(Halted):
        fit(halted, data, SHORT, run=tmp_path / "halved", progress=False)
    resumed = TwoStages(data.schema)
    again = fit(resumed, data, SHORT, run=tmp_path / "halved", progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert (history.rows, history.endings) == (again.rows, again.endings)


@pytest.mark.parametrize(
    ("watched", "options", "expected"),
    [
        ("loss", {"max_epochs": 2}, "cap"),
        ("loss", {"max_epochs": 60, "patience": 1, "min_improvement": 0.9}, "patience"),
        (None, {"max_epochs": 2}, "budget"),
    ],
    ids=["cap", "patience", "budget"],
)
def test_the_record_says_how_training_ended(data, tmp_path, monkeypatch, watched, options, expected):
    monkeypatch.setattr(VAE, "validates_on", watched)
    history = fit(VAE(data.schema, SMALL), data, SHORT.model_copy(update=options), run=tmp_path / "run", progress=False)
    assert history.endings == [expected]
    assert Run(tmp_path / "run").record.notes["endings"] == [expected]


def test_a_model_asks_for_fewer_epochs_unless_the_user_says_how_many(data, monkeypatch):
    monkeypatch.setattr(VAE, "usual_epochs", 2)
    unsaid, said = (SHORT.model_copy(update={"max_epochs": epochs}) for epochs in (None, 3))
    assert fit(VAE(data.schema, SMALL), data, unsaid, progress=False).n_epochs == 2
    assert fit(VAE(data.schema, SMALL), data, said, progress=False).n_epochs == 3


def test_a_model_that_takes_nothing_from_another_run_says_so(data, tmp_path, monkeypatch):
    model = VAE(data.schema, SMALL)
    fit(model, data, SHORT, progress=False)
    save_run(model, data, tmp_path / "first")
    monkeypatch.setattr(VAE, "pretrained", str(tmp_path / "first"))
    with pytest.raises(OptionError, match="takes no weights"):
        fit(VAE(data.schema, SMALL), data, SHORT, progress=False)


def test_a_term_that_is_there_in_some_steps_only_is_the_mean_over_those():
    sums = Sums()
    sums.add({"critic/loss": 1.0, "loss": 3.0}, 10)
    sums.add({"critic/loss": 2.0}, 10)
    assert sums.means == {"critic/loss": 1.5, "loss": 3.0}


def test_a_loss_may_come_from_one_objective_every_third_step(data):
    model = VAE(data.schema, SMALL)
    calls = {"often": 0, "seldom": 0}

    def counted(name):
        def loss(minibatch, step):
            calls[name] += model.training
            return Loss({"kl": model.posterior(minibatch).mean.square().sum(dim=1)})

        return loss

    model.stages = lambda: [
        [Objective("often", counted("often"), trains=model), Objective("seldom", counted("seldom"), model, every=3)]
    ]
    fit(model, data, SHORT.model_copy(update={"max_epochs": 1, "validation": 0.0}), progress=False)
    assert calls == {"often": 7, "seldom": 3}  # 200 cells in 7 minibatches; steps 0, 3 and 6


class Pretrained(VAE):
    """A VAE that starts from another one's weights."""

    pretrained = "a run that was there when the fit began"

    def take(self, other):
        self.load_state_dict(other.state_dict())


def test_a_fit_that_resumes_needs_the_run_that_it_started_from_no_more(data, tmp_path, monkeypatch):
    first = VAE(data.schema, SMALL)
    fit(first, data, SHORT, run=tmp_path / "first", progress=False)
    monkeypatch.setattr(Pretrained, "pretrained", str(tmp_path / "first"))
    whole = Pretrained(data.schema, SMALL)
    fit(whole, data, SHORT, run=tmp_path / "whole", progress=False)
    halted, calls = Pretrained(data.schema, SMALL), []

    def halting(minibatch, step):
        calls.append(halted.training)
        if sum(calls) == 8:
            raise Halted
        return VAE.negative_elbo(halted, minibatch, step)

    halted.stages = lambda: [[Objective("elbo", halting, trains=halted)]]
    with pytest.raises(Halted):
        fit(halted, data, SHORT, run=tmp_path / "halved", progress=False)
    (tmp_path / "first").rename(tmp_path / "moved")
    resumed = Pretrained(data.schema, SMALL)
    fit(resumed, data, SHORT, run=tmp_path / "halved", progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
