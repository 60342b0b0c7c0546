"""The two parts of latent diffusion fit together; guidance of 0 and 1 are what they say; what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellwright.core.abilities import Wanted
from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.errors import DataError, OptionError
from cellwright.models import build, diffusion
from cellwright.models.diffusion import Diffusion, DiffusionOptions
from cellwright.nn import schedule
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

SMALL = {"n_latent": 3, "n_hidden": 16, "n_denoiser_hidden": 16, "n_denoiser_layers": 1, "n_steps": 5}
SHORT = FitOptions(max_epochs=2, validation=0.2, batch_size=64)


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=200, n_vars=30, n_batch=2, label_shares=(0.6, 0.4))
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, batch_key="batch", label_key="label")


@pytest.fixture(scope="module")
def fitted(data):
    model = Diffusion(data.schema, DiffusionOptions(**SMALL))
    fit(model, data, SHORT, progress=False)
    return model


@pytest.fixture(scope="module")
def minibatch(data):
    return next(iter(in_order(data)))


def untrained(data, **options):
    """With weights in the last layer, which starts at zero, so that the label and the time say something."""
    torch.manual_seed(0)
    model = Diffusion(data.schema, DiffusionOptions(**{**SMALL, **options})).eval()
    torch.nn.init.normal_(model.denoiser.last[-1].weight)
    return model


def wanted(label, batch, n=50, condition=-1):
    return Wanted(torch.full((n,), label), torch.full((n,), batch), torch.full((n,), condition))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_objective_trains_its_own_part(data):
    model = untrained(data)
    assert [[objective.name for objective in stage] for stage in model.stages()] == [
        ["elbo", "width"],
        ["denoising", "width"],
    ]
    trained = {objective.name: objective.trains for stage in model.stages() for objective in stage}
    assert trained["elbo"] is model.vae
    assert trained["denoising"] is model.denoiser
    assert [id(p) for p in trained["width"].parameters()] == [id(model.vae.decoder.head.log_theta)]


def test_the_denoiser_leaves_the_autoencoder_as_it_is(data, minibatch):
    model = untrained(data).train()
    before = {name: value.clone() for name, value in model.vae.state_dict().items()}
    model.denoising_error(minibatch, Step(0, NoiseKey(0))).per_cell.sum().backward()
    assert all(parameter.grad is None for parameter in model.vae.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.vae.state_dict().items())


def test_a_likelihood_without_a_width_has_no_objective_for_it(data):
    model = untrained(data, likelihood="poisson")
    assert [[objective.name for objective in stage] for stage in model.stages()] == [["elbo"], ["denoising"]]


def test_the_latent_that_the_denoiser_sees_has_mean_zero_and_variance_one(data, minibatch):
    model = untrained(data)
    model.prepare(len(model.stages()) - 1, data, np.arange(data.n_obs), np.random.default_rng(0))
    q = model.vae.posterior(minibatch)
    draws = [model._standardise(q.draw(NoiseKey(seed).normal(minibatch.rows, 3))[0]) for seed in range(200)]
    found = torch.cat(draws).detach()
    # the means of the posteriors are fixed, so only their noise is sampled: 40,000 draws
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3), atol=0.03, rtol=0)
    torch.testing.assert_close(found.var(dim=0), torch.ones(3), atol=0.05, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_an_untrained_denoiser_has_the_error_of_predicting_nothing(data, minibatch, prediction):
    model = Diffusion(data.schema, DiffusionOptions(**SMALL, prediction=prediction)).eval()
    model.prepare(len(model.stages()) - 1, data, np.arange(data.n_obs), np.random.default_rng(0))
    errors = [model.denoising_error(minibatch, Step(0, NoiseKey(seed))).per_cell.mean() for seed in range(50)]
    # the target's variance is 1; 50 x 200 cells x 4 levels x 3 numbers
    assert torch.stack(errors).mean().item() == pytest.approx(1, abs=0.03)


def test_the_label_is_told_in_evaluation_and_dropped_in_training(data, minibatch):
    other = replace(minibatch, label=1 - minibatch.label)
    for training, told in ((False, True), (True, False)):
        model = untrained(data, label_dropout=1.0).train(training)
        first, second = (model.denoising_error(cells, Step(0, NoiseKey(0))).per_cell for cells in (minibatch, other))
        assert torch.equal(first, second) is not told


def test_guidance_goes_from_unlabelled_over_labelled_in_a_straight_line(data, minibatch):
    model = untrained(data)
    x_t, t = torch.randn(200, 3, generator=seeded()), torch.full((200,), 0.5)
    with torch.no_grad():
        told = model._told(minibatch, minibatch.library, 1.0)
        found = {g: model._clean(x_t, t, told._replace(guidance=g)) for g in (0.0, 1.0, 3.0)}
        nothing = model._told(replace(minibatch, label=torch.full((200,), -1)), minibatch.library, 1.0)
        unlabelled = model._clean(x_t, t, nothing)
    torch.testing.assert_close(found[0.0], unlabelled)
    torch.testing.assert_close(found[3.0], found[0.0] + 3 * (found[1.0] - found[0.0]))
    assert not torch.allclose(found[0.0], found[1.0])


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.0])
def test_a_cell_without_a_label_is_generated_the_same_with_any_guidance(data, minibatch, guidance):
    cells = replace(minibatch, label=torch.full((200,), -1))
    latents = [untrained(data, guidance=g).sample_latent(cells, cells.library, seeded()) for g in (guidance, 1.0)]
    torch.testing.assert_close(*latents)


def test_generated_cells_are_counts_that_repeat_with_their_seed(fitted):
    first, again, other = (fitted.generate(wanted(0, 1), seeded(seed)) for seed in (0, 0, 1))
    assert first.shape == (50, 30)
    assert torch.equal(first, first.round())
    assert (first >= 0).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_generated_libraries_are_those_of_the_label(fitted):
    """Expected over features, a drawn cell has the library that it was lent."""
    n = 2000
    found = fitted.generate(wanted(1, -1, n), seeded()).sum(dim=1)
    lent = fitted.population.cells.library[fitted.population.cells.label == 1][:, 0]
    # library and count noise: four standard errors of the difference of the means, if every lender lends as often
    error = (found.var() / n).sqrt()
    assert abs(found.mean() - lent.mean()) < 4 * error


def test_without_a_label_key_cells_are_generated_all_the_same(cells):
    data = open_data(cells)
    model = Diffusion(data.schema, DiffusionOptions(**SMALL))
    fit(model, data, SHORT, progress=False)
    assert model.generate(wanted(-1, -1), seeded()).shape == (50, 30)
    assert len(model.population.label_counts) == 0


def test_a_label_that_no_training_cell_had_is_refused(fitted):
    missing = fitted.population
    label = missing.cells.label.clone()
    try:
        missing.cells.set(label=torch.zeros_like(label))
        with pytest.raises(DataError, match="no training cell has label 'type_2'"):
            fitted.generate(wanted(1, -1), seeded())
    finally:
        missing.cells.set(label=label)


def test_imputation_does_not_look_at_the_label(fitted, minibatch):
    relabelled = replace(minibatch, label=1 - minibatch.label)
    assert torch.equal(fitted.impute(minibatch, seeded()), fitted.impute(relabelled, seeded()))


def test_imputed_means_keep_the_library(data, minibatch):
    model = untrained(data, likelihood="poisson")  # of others it is kept on average
    torch.testing.assert_close(model.impute(minibatch, seeded()).sum(dim=1, keepdim=True), minibatch.library)


def test_a_step_towards_the_measurement_is_exact_where_both_sides_are_gaussian(data, minibatch, monkeypatch):
    """Prior N(x, sigma^2), measurement N(y, s^2): the step ends at the mean weighted by the precisions."""
    model = untrained(data)
    y, s2 = torch.tensor([[1.0, -2.0, 0.5]]).expand(200, 3), torch.full((200, 3), 0.3)
    monkeypatch.setattr(model, "_slope", lambda x, cells: (y - x) / s2)
    x, t = torch.zeros(200, 3), torch.full((200,), 0.4)
    sigma2 = schedule.sigma(t).square()[:, None]
    expected = (x / sigma2 + y / s2) / (1 / sigma2 + 1 / s2)
    torch.testing.assert_close(model._towards(x, t, diffusion.Measured(minibatch, s2)), expected)


def test_the_slope_is_that_of_finite_differences(data, minibatch):
    model = untrained(data, likelihood="poisson", n_decoder_layers=0)  # no kinks
    x = 0.1 * torch.randn(200, 3, generator=seeded())
    slope = model._slope(x, minibatch)
    step = 1e-2 * torch.eye(3)
    with torch.no_grad():
        for i in range(3):
            ahead, behind = (model.vae.decoder.log_prob(at, minibatch) for at in (x + step[i], x - step[i]))
            # log p of some -5,000 has an error of 1e-3 in float32, divided by the distance
            torch.testing.assert_close(slope[:, i], (ahead - behind) / 2e-2, rtol=0.01, atol=0.1)


@pytest.fixture(scope="module")
def run_of_a_vae(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "vae"
    fit(build("vae", data.schema, n_latent=3, n_hidden=16), data, SHORT, run=folder, progress=False)
    return str(folder)


def test_a_pretrained_vae_is_copied_and_not_trained(data, run_of_a_vae):
    from cellwright.train.saved import load_run

    model = Diffusion(data.schema, DiffusionOptions(**SMALL, pretrained=run_of_a_vae))
    assert [[objective.name for objective in stage] for stage in model.stages()] == [["denoising", "width"]]
    fit(model, data, SHORT, progress=False)
    for name, value in load_run(run_of_a_vae).state_dict().items():
        if name.startswith(("encoder", "decoder")) and name != "decoder.head.log_theta":
            assert torch.equal(value, model.vae.state_dict()[name]), name


def test_the_pretrained_run_may_know_other_labels(cells, run_of_a_vae):
    data = open_data(cells, batch_key="batch")
    fit(Diffusion(data.schema, DiffusionOptions(**SMALL, pretrained=run_of_a_vae)), data, SHORT, progress=False)


def test_another_width_than_the_pretrained_runs_is_refused(data, run_of_a_vae):
    model = Diffusion(data.schema, DiffusionOptions(**{**SMALL, "n_hidden": 8}, pretrained=run_of_a_vae))
    with pytest.raises(OptionError, match=r"n_hidden of DiffusionOptions must be that of the pretrained run; it is 8"):
        fit(model, data, SHORT, progress=False)


def test_other_features_than_the_pretrained_runs_are_refused(cells, run_of_a_vae):
    data = open_data(cells[:, ::-1].copy(), batch_key="batch", label_key="label")
    model = Diffusion(data.schema, DiffusionOptions(**SMALL, pretrained=run_of_a_vae))
    with pytest.raises(OptionError, match="the same 30 features in the same order"):
        fit(model, data, SHORT, progress=False)


def test_the_run_of_another_model_is_refused(data, tmp_path):
    fit(build("pca", data.schema, n_latent=3), data, SHORT, run=tmp_path / "pca", progress=False)
    model = Diffusion(data.schema, DiffusionOptions(**SMALL, pretrained=str(tmp_path / "pca")))
    with pytest.raises(OptionError, match="must be the run of a vae; it is one of pca"):
        fit(model, data, SHORT, progress=False)
