"""An arm is read from text, checked at once, and never stands without baselines."""

import pytest

from cellwright.errors import OptionError
from cellwright.models import MODELS
from cellwright.study.arm import Arm, with_baselines


def test_settings_are_read_with_their_types():
    arm = Arm.parse("vae:n_latent=20:transform=none:beta=0.5")
    assert arm.changes == {"n_latent": 20, "transform": "none", "beta": 0.5}
    assert arm.options().n_latent == 20
    assert arm.setting == "beta=0.5, n_latent=20, transform=none"


def test_a_name_alone_is_the_preset():
    assert Arm.parse("dae").options() == MODELS["dae"].options()
    assert Arm.parse("dae").setting == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("vea", "there is no model 'vea'.*Did you mean 'vae'"),
        ("vae:n_latnt=3", "Did you mean 'n_latent'"),
        ("vae:n_latent=0", "n_latent of VAEOptions"),
        ("vae:20", "must be option=value"),
    ],
    ids=["unknown model", "unknown option", "out of bounds", "no equals sign"],
)
def test_what_is_wrong_is_said_before_anything_is_trained(text, sentence):
    with pytest.raises(OptionError, match=sentence):
        Arm.parse(text)


def test_baselines_are_added_once():
    names = [arm.model for arm in with_baselines([Arm("vae"), Arm("pca")])]
    assert names == ["vae", "pca"]
    assert [arm.model for arm in with_baselines([Arm("vae")])] == ["pca", "vae"]
