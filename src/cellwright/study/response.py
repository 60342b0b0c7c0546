"""Response: what the runs of a perturbation study say together.

    scores of every run (model, setting, type, seed) -board_of-> leaderboard: per type, and over types
                                                    -remedies_of-> remedies.csv: each remedy against none, paired
                                                    -networks_of-> networks.csv: each network against the best baseline
                                                    -verdict-> the answer in two sentences

Over types means: for each seed first over the held-out types (their mean, the worst, the best minus the worst), then
over seeds. Paired are runs of the same seed and held-out type.

What is tested are types. The cells of a type are the same in all seeds, so types x seeds are not independent pairs
(taken as such they found a difference in 32 % of planted studies without one): each type first gets the mean of its
seeds, and one value per type is tested; a type is what is drawn anew where the question is about other types. Tests
of a single type, and of the spread between types, have only seeds to go by: they speak of the noise of split and
training, with these very types. With one type, or one seed of it, there is no test.

Columns of remedies.csv: data, model, setting (without the remedy), remedy, where (training, shift or both), metric,
better, group (a type; empty for all types), over (what the test counts: types, or seeds where group names one type and
for spreads), n_types, n_seeds (seeds of a type, the fewest where they differ), none and with_remedy (means),
difference (with minus without), ci_low, ci_high (95 %, paired t), p_t (paired t), p_wilcoxon (signed ranks; empty with
fewer than six, of which it could not fall below .05), and p_t_holm, p_wilcoxon_holm: adjusted over the remedies of
this model, metric and group.

Columns of networks.csv: data, model, setting (of the network), metric, better, baseline and baseline_setting (the best
one of this metric by its mean over types and seeds, these very scores, which flatters it), n_types, n_seeds, network
and best_baseline (means over types), difference (network minus baseline), ci_low, ci_high, p_t, p_wilcoxon, and
p_t_holm: adjusted over the networks of this metric; the best network of each metric, by mean, first.
"""

import math
from collections.abc import Collection, Sequence
from itertools import product
from typing import Any, Literal

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
    "data", "model", "setting", "remedy", "where", "metric", "better", "group", "over", "n_types", "n_seeds", "none",
    "with_remedy", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon", "p_t_holm", "p_wilcoxon_holm",
]  # fmt: skip
NETWORK_COLUMNS = [
    "data", "model", "setting", "metric", "better", "baseline", "baseline_setting", "n_types", "n_seeds", "network",
    "best_baseline", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon", "p_t_holm",
]  # fmt: skip
Over = Literal["types", "seeds"]
LEAST_RANKED = 6  # two-sided signed ranks of five differences are never below .0625
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
    """`remedies.csv`: every remedy against none, the same model, options, type and seed; tested over types."""
    if not len(scores) or not (scores["remedy"] != NONE).any():
        return pd.DataFrame(columns=REMEDY_COLUMNS)
    spreads = over_types(scores, types)
    spreads = spreads[spreads["metric"].str.endswith("_spread")]
    compared = scores[scores["metric"].isin(COMPARED)]
    pools: list[tuple[Over, pd.DataFrame]] = [
        ("types", compared.assign(pool="")),
        ("seeds", compared.assign(pool=compared["group"])),
        ("seeds", spreads.assign(pool="")),
    ]
    rows: list[dict[str, Any]] = []
    family = ["data", "model", "of", "metric", "better", "pool"]
    for over, pool in pools:
        for key, part in pool.groupby(family, sort=False):
            named = dict(zip(["data", "model", "setting", "metric", "better", "group"], key, strict=True))
            rows += [{**named, "over": over, **test} for test in _tests(part, over)]
    table = pd.DataFrame(rows, columns=REMEDY_COLUMNS)
    # a spread is one value of all types
    table.loc[table["metric"].str.endswith("_spread"), "n_types"] = len(types)
    return table


def networks_of(scores: pd.DataFrame, types: Collection[str]) -> pd.DataFrame:
    """`networks.csv`: every network against the best baseline of each metric, the same type and seed."""
    if not len(scores):
        return pd.DataFrame(columns=NETWORK_COLUMNS)
    overall = over_types(scores, types)
    rows: list[dict[str, Any]] = []
    for (data, metric, better), part in overall[overall["metric"].isin(COMPARED)].groupby(
        ["data", "metric", "better"], sort=False
    ):
        values = scores[scores["metric"] == metric].set_index(["group", "seed"])
        tests = _against_best(_ranked(part, str(better)), values)
        rows += [{"data": data, "metric": metric, "better": better, **test} for test in tests]
    return pd.DataFrame(rows, columns=NETWORK_COLUMNS)


def _ranked(overall: pd.DataFrame, better: str) -> pd.DataFrame:
    """Networks and baselines by their mean over types and seeds, the best first."""
    means = overall.groupby(["model", "setting", "is_baseline"], sort=False)["value"].mean()
    means = means.drop(CEILING, level="model", errors="ignore").sort_values(ascending=better == "lower")
    return means.dropna().reset_index()


def _against_best(ranked: pd.DataFrame, values: pd.DataFrame) -> list[dict[str, Any]]:
    """Each network against the first of the baselines, in one metric; nothing where there is none."""
    networks, baselines = ranked[~ranked["is_baseline"]], ranked[ranked["is_baseline"]]
    tests: list[dict[str, Any]] = []
    for (_, ours), (_, theirs) in product(networks.iterrows(), baselines.iloc[:1].iterrows()):
        test = paired(values[_is(values, ours)]["value"], values[_is(values, theirs)]["value"])
        means = {"network": test.pop("with_remedy"), "best_baseline": test.pop("none")}
        who = {"model": ours["model"], "setting": ours["setting"]}
        tests.append({**who, "baseline": theirs["model"], "baseline_setting": theirs["setting"], **means, **test})
    return _with_holm(tests, ["p_t"])


def _tests(part: pd.DataFrame, over: Over) -> list[dict[str, Any]]:
    """Each remedy against none, in one measure of one model."""
    value = part.set_index(["group", "seed"])["value"]
    remedy, where = part["remedy"].to_numpy(), part["where"].to_numpy()
    tests: list[dict[str, Any]] = []
    for one, place in dict.fromkeys(zip(remedy, where, strict=True)):
        if one != NONE:
            test = paired(value[(remedy == one) & (where == place)], value[remedy == NONE], over)
            tests.append({"remedy": one, "where": place, **test})
    return _with_holm(tests, ["p_t", "p_wilcoxon"])


def _with_holm(tests: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    adjusted = {f"{name}_holm": holm([test[name] for test in tests]) for name in names}
    return [test | {name: p[at] for name, p in adjusted.items()} for at, test in enumerate(tests)]


def paired(ours: pd.Series, theirs: pd.Series, over: Over = "types") -> dict[str, float]:
    """The test of two series of values, ours minus theirs; their index, which pairs them, is of type and seed.

    Over types a value is the mean of a type's seeds. Over seeds each pair is a value, which is of use within one type.
    """
    both = pd.concat([ours.rename("ours"), theirs.rename("theirs")], axis=1, join="inner").dropna()
    if not len(both):
        nothing = ("none", "with_remedy", "difference", "ci_low", "ci_high", "p_t", "p_wilcoxon")
        return {"n_types": 0, "n_seeds": 0, **dict.fromkeys(nothing, math.nan)}
    by_type = both.groupby(level=0, sort=False)
    tested = by_type.mean() if over == "types" else both
    difference = (tested["ours"] - tested["theirs"]).to_numpy()
    mean, _, low, high = interval(difference)
    return {
        "n_types": by_type.ngroups,
        "n_seeds": int(by_type.size().min()),
        "none": float(tested["theirs"].mean()),
        "with_remedy": float(tested["ours"].mean()),
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
    """It leads with the best network by mean; whether any network is better is judged from all, by Holm's p-values."""
    ranked = networks[networks["metric"].isin(HEADLINES)]
    if not len(ranked):
        return []
    test, *others = [row for _, row in ranked.iterrows()]
    picked = f" (picked as the best of {len(ranked)} by these very scores)" if others else ""
    name = f"{_title(test['model'], test['setting'])}{picked}"
    baseline = _title(test["baseline"], test["baseline_setting"])
    numbers = (
        f"{HEADLINES[test['metric']]} {test['network']:.3f} against {test['best_baseline']:.3f}, {_difference(test)} "
        f"{_counted(test)}"
    )
    if _is_better(test):
        return [f"{name} beats the best baseline by mean, {baseline}: {numbers}."]
    better = [f"{_title(row['model'], row['setting'])} ({_difference(row)})" for row in others if _is_better(row)]
    if better:
        are = f"{', '.join(better)} {'is' if len(better) == 1 else 'are'}"
        return [f"{name} is not surely better than the best baseline by mean, {baseline}: {numbers}; {are}."]
    none = "No network is surely better than" if test["difference"] > 0 else "No network beats"
    return [f"{none} the best baseline by mean: {name} against {baseline}, {numbers}."]


def _is_better(test: pd.Series) -> bool:
    return bool(test["p_t_holm"] < CHANCE and test["difference"] > 0)


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
    best = rows.sort_values("difference").iloc[-1]
    if sentences:
        return [f"Remedies for unequal cell-type numbers, against none {_counted(best)}: {' '.join(sentences)}"]
    changed = f"changed {HEADLINES[best['metric']]} beyond chance {_counted(best)}"
    return [f"No remedy for unequal cell-type numbers {changed}; the largest: {_remedy(best)}."]


def _remedy(row: pd.Series) -> str:
    p = "" if math.isnan(row["p_t_holm"]) else f", p {row['p_t_holm']:.2g}"
    whose = f" of {row['of']}" if row["of"] else ""
    return f"{row['remedy']} in {row['where']}{whose} ({row['difference']:+.4f}{p})"


def _difference(test: pd.Series) -> str:
    if math.isnan(test["ci_low"]):
        return f"difference {test['difference']:+.4f}"
    around = f"95 % interval {test['ci_low']:+.4f} to {test['ci_high']:+.4f}, adjusted p {test['p_t_holm']:.2g}"
    return f"difference {test['difference']:+.4f} ({around})"


def _counted(test: pd.Series) -> str:
    """`over 7 types (mean of 3 seeds each)`; of a screen labels, which may be replicates."""
    n_types, n_seeds = int(test["n_types"]), int(test["n_seeds"])
    kind = "label" if test["metric"] == "screen_score" else "type"
    seeds = f"{n_seeds} seed{'' if n_seeds == 1 else 's'}"
    if n_types == 1:
        return f"of one {kind} (mean of {seeds}), so there is no test"
    return f"over {n_types} {kind}s (mean of {seeds} each)"


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
    if len(difference) < LEAST_RANKED:
        return math.nan
    return float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0
