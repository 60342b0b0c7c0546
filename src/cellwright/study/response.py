"""Response: what the runs of a perturbation study say together.

    scores of every run (model, setting, type, seed) -board_of-> leaderboard: per type, and over types
                                                    -remedies_of-> remedies.csv: each remedy against none, paired
                                                    -networks_of-> networks.csv: each network against the best baseline
                                                    -verdict-> the answer in two sentences

Over types means: for each seed first over the held-out types (their mean, the worst, the best minus the worst), then
over seeds. Paired are runs of the same seed and held-out type. The cells of one type are the same in all seeds, so
pairs of one type are not independent: an interval over all pairs speaks of these types.

Columns of remedies.csv: data, model, setting (without the remedy), remedy, where (training, shift or both), metric,
better, group (a type; empty for all pairs of type and seed, and for spreads, whose pairs are the seeds), n_pairs,
none and with_remedy (means), difference (with minus without), ci_low, ci_high (95 %, paired t), p_t (paired t),
p_wilcoxon (signed ranks), and p_t_holm, p_wilcoxon_holm: adjusted over the remedies of this model, metric and group.

Columns of networks.csv: data, model, setting (of the network), metric, better, baseline and baseline_setting (the best
one of this metric, by its mean over types and seeds), n_pairs, network and best_baseline (means over the pairs),
difference (network minus baseline), ci_low, ci_high, p_t, p_wilcoxon; the best network of each metric first.
"""

import math
from collections.abc import Collection, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from cellwright.study.perturb_plan import NONE
from cellwright.study.statistics import LEADERBOARD_COLUMNS, interval, summarise

HEADLINES = {"mean_r2": "mean R2", "screen_score": "screen score"}  # a study has one of them; screens the latter
# for which worst, spread and remedies are looked at
COMPARED = (*HEADLINES, "change_pearson", "e_distance", "pds")
CEILING = "half_split"  # half of the real treated cells against the other half
ARM = ["data", "model", "setting", "is_baseline", "of", "remedy", "where"]
REMEDY_COLUMNS = [
    "data", "model", "setting", "remedy", "where", "metric", "better", "group", "n_pairs", "none", "with_remedy",
    "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon", "p_t_holm", "p_wilcoxon_holm",
]  # fmt: skip
NETWORK_COLUMNS = [
    "data", "model", "setting", "metric", "better", "baseline", "baseline_setting", "n_pairs", "network",
    "best_baseline", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon",
]  # fmt: skip
CHANCE = 0.05


def board_of(scores: pd.DataFrame, types: Collection[str]) -> pd.DataFrame:
    """The leaderboard. An arm is summarised over types only in seeds in which it was scored on all `types`.

    `scores` has the columns of `scores.csv`, the cost of each run and those of `ARM`: what distinguishes arms, the
    setting without its remedy (`of`), the remedy and where it acts.
    """
    if not len(scores):
        return pd.DataFrame(columns=LEADERBOARD_COLUMNS)
    overall = over_types(scores, types)
    return summarise(pd.concat([overall, scores], ignore_index=True) if len(overall) else scores)


def over_types(scores: pd.DataFrame, types: Collection[str]) -> pd.DataFrame:
    """One row per arm, metric and seed: the mean over types; of some metrics the worst type and the spread as well."""
    by = [*ARM, "task", "metric", "better", "held_out", "seed"]
    cost = {"seconds": ("seconds", "mean"), "peak_bytes": ("peak_bytes", "max")}
    found = {"value": ("value", "mean"), "least": ("value", "min"), "most": ("value", "max"), "n": ("value", "count")}
    whole = scores.groupby(by, sort=False, dropna=False, as_index=False).agg(**found, **cost)
    whole = whole[whole["n"] == len(types)].assign(group="")
    compared = whole[whole["metric"].isin(COMPARED)] if len(types) > 1 else whole.iloc[:0]
    worst = compared["least"].where(compared["better"] != "lower", compared["most"])
    parts = [
        whole,
        compared.assign(value=worst, metric=compared["metric"] + "_worst"),
        compared.assign(
            value=compared["most"] - compared["least"], metric=compared["metric"] + "_spread", better="lower"
        ),
    ]
    return pd.concat([part for part in parts if len(part)] or [whole], ignore_index=True).drop(
        columns=["least", "most", "n"]
    )


def remedies_of(scores: pd.DataFrame, types: Collection[str]) -> pd.DataFrame:
    """`remedies.csv`: every remedy against none, the same model, options, type and seed."""
    if not len(scores) or not (scores["remedy"] != NONE).any():
        return pd.DataFrame(columns=REMEDY_COLUMNS)
    spreads = over_types(scores, types)
    spreads = spreads[spreads["metric"].str.endswith("_spread")]
    compared = scores[scores["metric"].isin(COMPARED)]
    pools = [compared.assign(pool=""), compared.assign(pool=compared["group"]), spreads.assign(pool="")]
    everything = pd.concat([pool for pool in pools if len(pool)])
    rows: list[dict[str, Any]] = []
    family = ["data", "model", "of", "metric", "better", "pool"]
    for key, part in everything.groupby(family, sort=False):
        named = dict(zip(["data", "model", "setting", "metric", "better", "group"], key, strict=True))
        rows += [named | test for test in _tests(part)]
    return pd.DataFrame(rows, columns=REMEDY_COLUMNS)


def networks_of(scores: pd.DataFrame, types: Collection[str]) -> pd.DataFrame:
    """`networks.csv`: every network against the best baseline of each metric, the same type and seed."""
    if not len(scores):
        return pd.DataFrame(columns=NETWORK_COLUMNS)
    overall = over_types(scores, types)
    rows: list[dict[str, Any]] = []
    for (data, metric, better), part in overall[overall["metric"].isin(COMPARED)].groupby(
        ["data", "metric", "better"], sort=False
    ):
        means = part.groupby(["model", "setting", "is_baseline"], sort=False)["value"].mean()
        means = means.drop(CEILING, level="model", errors="ignore").sort_values(ascending=better == "lower")
        ranked = means.dropna().reset_index()
        networks, baselines = ranked[~ranked["is_baseline"]], ranked[ranked["is_baseline"]]
        values = scores[scores["metric"] == metric].set_index(["group", "seed"])
        for (_, ours), (_, theirs) in product(networks.iterrows(), baselines.iloc[:1].iterrows()):
            test = paired(*(values[_is(values, arm)]["value"] for arm in (ours, theirs)))
            test |= {"network": test.pop("with_remedy"), "best_baseline": test.pop("none")}
            who = {"data": data, "model": ours["model"], "setting": ours["setting"], "metric": metric, "better": better}
            rows.append({**who, "baseline": theirs["model"], "baseline_setting": theirs["setting"], **test})
    return pd.DataFrame(rows, columns=NETWORK_COLUMNS)


def _tests(part: pd.DataFrame) -> list[dict[str, Any]]:
    """Each remedy against none, in one measure of one model."""
    value = part.set_index(["group", "seed"])["value"]
    remedy, where = part["remedy"].to_numpy(), part["where"].to_numpy()
    tests: list[dict[str, Any]] = []
    for one, place in dict.fromkeys(zip(remedy, where, strict=True)):
        if one != NONE:
            test = paired(value[(remedy == one) & (where == place)], value[remedy == NONE])
            tests.append({"remedy": one, "where": place, **test})
    for name in ("p_t", "p_wilcoxon"):
        for test, adjusted in zip(tests, holm([test[name] for test in tests]), strict=True):
            test[f"{name}_holm"] = adjusted
    return tests


def paired(ours: pd.Series, theirs: pd.Series) -> dict[str, float]:
    """The test of two series of values that have an index in common: ours minus theirs, pair by pair."""
    both = pd.concat([ours.rename("ours"), theirs.rename("theirs")], axis=1, join="inner").dropna()
    difference = (both["ours"] - both["theirs"]).to_numpy()
    if not len(difference):
        nothing = ("none", "with_remedy", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon")
        return {"n_pairs": 0, **dict.fromkeys(nothing, math.nan)}
    mean, _, low, high = interval(difference)
    return {
        "n_pairs": len(difference),
        "none": float(both["theirs"].mean()),
        "with_remedy": float(both["ours"].mean()),
        "difference": mean,
        "ci_low": low,
        "ci_high": high,
        "p_t": _p_t(difference),
        "p_wilcoxon": _p_wilcoxon(difference),
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number by Holm's step-down; what is not a number stays so and does not count."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), math.nan)
    order = [at for at in np.argsort(p) if not math.isnan(p[at])]
    largest = 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, float(p[at]) * (len(order) - place)))
        adjusted[at] = largest
    return adjusted.tolist()


def verdict(scores: pd.DataFrame, remedies: pd.DataFrame, types: Collection[str]) -> list[str]:
    """Whether a network beats the best baseline, and which remedy helped; no sentence about what was not scored."""
    if not len(scores):
        return []
    return [*_against_baseline(networks_of(scores, types)), *_about_remedies(remedies)]


def _against_baseline(networks: pd.DataFrame) -> list[str]:
    ranked = networks[networks["metric"].isin(HEADLINES)]
    if not len(ranked):
        return []
    test = ranked.iloc[0]
    names = [_title(test["model"], test["setting"]), _title(test["baseline"], test["baseline_setting"])]
    many = f" (the best of {len(ranked)})" if len(ranked) > 1 else ""
    numbers = (
        f"{HEADLINES[test['metric']]} {test['network']:.3f} against {test['best_baseline']:.3f}, {_difference(test)} "
        f"over {_counted(test)} of type and seed"
    )
    if test["ci_low"] > 0:
        return [f"{names[0]}{many} beats the best baseline, {names[1]}: {numbers}."]
    if test["difference"] > 0:
        return [f"No network is surely better than the best baseline: {names[0]}{many} and {names[1]}, {numbers}."]
    return [f"No network beats the best baseline: {names[0]}{many} against {names[1]}, {numbers}."]


def _about_remedies(remedies: pd.DataFrame) -> list[str]:
    in_headline = remedies["metric"].isin(HEADLINES) & (remedies["group"] == "")
    rows = remedies[in_headline & remedies["difference"].notna()]
    if not len(rows):
        return []
    rows = rows.assign(of=[_title(model, of) for model, of in zip(rows["model"], rows["setting"], strict=True)])
    if rows["of"].nunique() == 1:
        rows["of"] = ""
    sure = rows[rows["p_t_holm"] < CHANCE]
    sentences = [
        f"{', '.join(_remedy(row) for _, row in part.iterrows())} {verb}."
        for part, verb in ((sure[sure["difference"] > 0], "helped"), (sure[sure["difference"] < 0], "did harm"))
        if len(part)
    ]
    if sentences:
        return [f"Remedies for unequal cell-type numbers, against none: {' '.join(sentences)}"]
    best = rows.sort_values("difference").iloc[-1]
    headline = HEADLINES[best["metric"]]
    return [f"No remedy for unequal cell-type numbers changed {headline} beyond chance; the largest: {_remedy(best)}."]


def _remedy(row: pd.Series) -> str:
    p = "" if math.isnan(row["p_t_holm"]) else f", p {row['p_t_holm']:.2g}"
    whose = f" of {row['of']}" if row["of"] else ""
    return f"{row['remedy']} in {row['where']}{whose} ({row['difference']:+.4f}{p})"


def _difference(test: pd.Series) -> str:
    around = "" if math.isnan(test["ci_low"]) else f" (95 % interval {test['ci_low']:+.4f} to {test['ci_high']:+.4f})"
    return f"difference {test['difference']:+.4f}{around}"


def _counted(test: pd.Series) -> str:
    return f"{test['n_pairs']:.0f} pair{'' if test['n_pairs'] == 1 else 's'}"


def _is(values: pd.DataFrame, arm: pd.Series) -> pd.Series:
    return (values["model"] == arm["model"]) & (values["setting"] == arm["setting"])


def _title(model: str, setting: str) -> str:
    return f"{model} ({setting})" if setting else model


def _p_t(difference: np.ndarray) -> float:
    n, mean = len(difference), float(difference.mean())
    if n < 2:
        return math.nan
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    if error == 0:
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, n - 1))


def _p_wilcoxon(difference: np.ndarray) -> float:
    moved = difference[difference != 0]
    if len(difference) < 2:
        return math.nan
    return float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0
