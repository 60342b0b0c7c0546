"""An arm is read from text, checked at once, and never stands without baselines."""

import pytest

from cellwright.core.schema import Categories, Schema
from cellwright.core.support import Support
from cellwright.errors import AbilityError, OptionError
from cellwright.models import MODELS, build_with
from cellwright.study.arm import Arm, at_width, encoders_asked, with_baselines


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
    assert with_baselines([Arm("ae")]) == [Arm("pca"), Arm("pca_unscaled"), Arm("ae")]
    there = [Arm("ae"), Arm("pca_unscaled"), Arm("pca")]
    assert with_baselines(there) == there


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("pca:n_latent=3", "pca_unscaled"),
        ("pca:scale=false:n_latent=3", "pca"),
        ("pca_unscaled:scale=true", "pca_unscaled"),
    ],
    ids=["other size", "unscaled", "scaled"],
)
def test_a_baseline_in_another_setting_is_the_one_that_its_options_make_it(text, added):
    arm = Arm.parse(text)
    assert with_baselines([arm]) == [Arm(added), arm]


@pytest.mark.parametrize(
    ("model", "baselines"),
    [
        ("ae", ["pca", "pca_unscaled"]),
        ("transformer_classifier", ["logistic", "logistic_balanced", "knn"]),
        ("gan", ["nb_by_label", "real_cells"]),
        ("forecaster", ["persistence", "linear_extrapolation", "markov_chain"]),
    ],
)
def test_a_model_meets_the_baselines_of_what_it_is_scored_by(model, baselines):
    assert [arm.model for arm in with_baselines([Arm(model)])] == [*baselines, model]


def test_several_abilities_meet_the_baselines_of_each():
    added = {arm.model for arm in with_baselines([Arm("ae"), Arm("lstm")])}
    assert added == {"pca", "pca_unscaled", "logistic", "logistic_balanced", "knn", "ae", "lstm"}


def test_of_several_modalities_baselines_are_those_that_read_several():
    arms = with_baselines([Arm("multimodal_vae")], modalities=("rna", "protein"), real_valued=["protein"])
    assert {arm.model: arm.changes for arm in arms} == {
        "joint_pca": {"real_valued": ["protein"]},
        "knn_translation": {"real_valued": ["protein"]},
        "multimodal_vae": {},
    }
    assert not any(arm.entry.model.reads_several for arm in with_baselines([Arm("vae")]))


def test_every_baseline_meets_some_model():
    met = {
        arm.model
        for name in MODELS
        for many in ("X", "XY")
        for arm in with_baselines([Arm(name)], modalities=many, without=())
    }
    assert {name for name, entry in MODELS.items() if entry.model.is_baseline} <= met


def test_baselines_take_no_logarithm_of_values_that_have_none_and_what_was_asked_for_stays():
    arms = with_baselines([Arm("pca"), Arm("lstm")], real_valued={"X"})
    assert {arm.model: arm.changes for arm in arms} == {
        "pca_unscaled": {"transform": "none"},
        "logistic": {"transform": "none"},
        "logistic_balanced": {"transform": "none"},
        "knn": {"transform": "none"},
        "pca": {},
        "lstm": {},
    }


def test_baselines_of_real_values_decode_what_has_no_least_value():
    arms = with_baselines([Arm("scgen")], real_valued={"X"}, abilities={"perturbs"})
    changes = {arm.model: arm.changes for arm in arms}
    assert changes["pca_shift"] == {"transform": "none", "decoding": "published"}
    assert changes["gene_shift"] == {"transform": "none"}
    schema = Schema(
        features={"X": ("g",)},
        label=Categories(key="label", values=("a", "b")),
        condition=Categories(key="condition", values=("control", "treated")),
        control="control",
    )
    for arm in arms[:-1]:
        assert build_with(arm.model, schema, arm.options()).support <= Support.real, arm.model


def test_encoders_that_are_asked_for_are_arms():
    assert encoders_asked(["vae:n_latent=3", "pca"], "models", "find domains") == [
        Arm("vae", {"n_latent": 3}),
        Arm("pca"),
    ]


def test_a_model_that_does_not_encode_cannot_answer_a_question_about_latents():
    with pytest.raises(
        AbilityError, match=r"gan cannot find domains: it lacks the ability 'encodes'\. .*\bvae\b.* can"
    ):
        encoders_asked(["vae", "gan"], "models", "find domains")


def test_the_same_encoder_twice_is_refused_in_whatever_spelling():
    with pytest.raises(OptionError, match=r"models of Options must be different; pca .*twice"):
        encoders_asked(["pca:n_latent=30", "pca"], "models of Options", "find domains")


def test_a_width_is_a_change_of_the_arm_and_nothing_else():
    arm = Arm("pca", {"scale": False, "n_latent": 9})
    assert at_width(arm, 4) == Arm("pca", {"scale": False, "n_latent": 4})
    assert arm.changes["n_latent"] == 9
