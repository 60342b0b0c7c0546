"""Harm: names that a study and its page rely on are those of metrics and of a model."""

from cellwright.metrics import METRICS
from cellwright.metrics.harm import FLOOR, LIMITS
from cellwright.models import MODELS


def test_every_limit_is_of_a_metric_of_imputations_and_within_what_it_can_be():
    for name, limit in LIMITS.items():
        low, high = METRICS[name].bounds
        assert METRICS[name].task == "impute"
        assert METRICS[name].better == "lower"
        assert low < limit < high


def test_the_floor_is_a_baseline_that_imputes():
    assert MODELS[FLOOR].model.is_baseline
    assert "imputes" in MODELS[FLOOR].abilities
