"""Augmentation: what the runs of a study of augmentation say together.

    scores of every run (classifier, what was added, seed) -effects_of-> augment.csv: each remedy against another
                                                           -verdict-> the answer in sentences

Paired are runs of the same seed, which have the same split, so the same real cells to learn from and to be tested by.
What varies between seeds is the split and the training, of these very cells: the tests speak of this file and not of
others. With one seed there is no test. Of a single class there is none either: two test cells give F1 three values, and
three seeds with the same one would be told from chance by no variance at all.

Columns of augment.csv: data, model and setting (the classifier's), remedy, against (none; for generators over all
classes also each of over and smote), metric, better, group (a class; empty for all), n_cells (training cells of the
class, mean over seeds), is_rare, n_seeds, reference and with_remedy (means), difference (with minus reference), ci_low,
ci_high (95 %, paired t; empty for a class, as p), p_t, and p_t_holm: adjusted over the remedies of this classifier,
metric, group and against. `class weights` as a remedy is the same classifier with them and without added cells.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from cellwright.study.augment_plan import NONE, WEIGHTS
from cellwright.study.augment_runs import RARE_F1
from cellwright.study.response import CHANCE, holm, paired

HEADLINE = "macro_f1"
TITLES = {HEADLINE: "macro F1", RARE_F1: "mean F1 of rare classes"}
COMPARED = (*TITLES, "balanced_accuracy", "accuracy")
_SIDES = ((1, "better"), (-1, "worse"))
EFFECT_COLUMNS = [
    "data", "model", "setting", "remedy", "against", "metric", "better", "group", "n_cells", "is_rare", "n_seeds",
    "reference", "with_remedy", "difference", "ci_low", "ci_high", "p_t", "p_t_holm",
]  # fmt: skip


def effects_of(scores: pd.DataFrame, generators: Collection[str], n_cells: Mapping[str, float]) -> pd.DataFrame:
    """`augment.csv`, from the columns of `scores.csv` with data, model, of (the classifier's setting) and added.

    `n_cells` are the training cells of the rare classes, by name.
    """
    if not len(scores):
        return pd.DataFrame(columns=EFFECT_COLUMNS)
    overall = scores[(scores["group"] == "") & scores["metric"].isin(COMPARED)]
    by_class = scores[(scores["group"] != "") & (scores["metric"] == HEADLINE)]
    simple = [name for name in dict.fromkeys(scores["added"]) if name not in {NONE, WEIGHTS, *generators}]
    rows: list[dict[str, Any]] = []
    for part, references in ((overall, [NONE, *simple]), (by_class, [NONE])):
        for key, values in part.groupby(["data", "model", "of", "metric", "better", "group"], sort=False):
            named = dict(zip(["data", "model", "setting", "metric", "better", "group"], key, strict=True))
            for against in references:
                tests = _tests(values, against, None if against == NONE else generators)
                rows += [{**named, "against": against, **test} for test in tests]
    table = pd.DataFrame(rows, columns=EFFECT_COLUMNS)
    table.loc[table["group"] != "", ["ci_low", "ci_high", "p_t", "p_t_holm"]] = math.nan
    return table.assign(n_cells=table["group"].map(n_cells), is_rare=table["group"].isin(n_cells))


def _tests(values: pd.DataFrame, against: str, of: Collection[str] | None) -> list[dict[str, Any]]:
    """Each remedy (those of `of`, if given) against another, in one measure of one classifier."""
    value = values.set_index(["group", "seed"])["value"]
    added = values["added"].to_numpy()
    tests: list[dict[str, Any]] = []
    for remedy in dict.fromkeys(added):
        if remedy not in (against, NONE) and (of is None or remedy in of):
            test = paired(value[added == remedy], value[added == against], "seeds")
            tests.append({**test, "remedy": remedy, "reference": test["none"]})
    adjusted = holm([test["p_t"] for test in tests])
    return [{**test, "p_t_holm": p} for test, p in zip(tests, adjusted, strict=True)]


def verdict(effects: pd.DataFrame, generators: Collection[str], n_classes: int, target: int) -> list[str]:
    """Whether generated cells helped, against nothing and against simpler remedies: in a word, then by classifier."""
    overall = effects[(effects["group"] == "") & effects["difference"].notna()]
    headline = overall[overall["metric"] == HEADLINE]
    if not len(headline):
        return []
    n_rare = effects.loc[effects["is_rare"].astype(bool), "group"].nunique()
    said = [
        _in_a_word(headline[(headline["against"] == NONE) & headline["remedy"].isin(generators)]),
        f"{n_rare} of {n_classes} classes have fewer than {target} training cells and were raised to {target}.",
    ]
    for (model, setting), part in headline.groupby(["model", "setting"], sort=False):
        title = _title(model, setting)
        of_none = part[part["against"] == NONE]
        rare = overall[(overall["model"] == model) & (overall["setting"] == setting) & (overall["against"] == NONE)]
        said += [
            _against_none(title, of_none[of_none["remedy"].isin(generators)]),
            _simple(of_none[~of_none["remedy"].isin(generators)]),
            _rare(rare[rare["metric"] == RARE_F1]),
            _against_simple(title, part[part["against"] != NONE]),
        ]
    return [sentence for sentence in said if sentence]


def _in_a_word(tests: pd.DataFrame) -> str:
    """For which classifiers any generator raised the headline beyond chance."""
    if not len(tests):
        return ""
    helped = {
        _title(model, setting): names
        for (model, setting), part in tests.groupby(["model", "setting"], sort=False)
        if (names := _sure(part, 1))
    }
    n = len(tests[["model", "setting"]].drop_duplicates())
    if not helped:
        of = "the classifier" if n == 1 else f"any of {n} classifiers"
        return f"Generated cells of rare classes are not shown to raise the {TITLES[HEADLINE]} of {of}."
    which = "; ".join(f"{title} ({', '.join(names)})" for title, names in helped.items())
    return f"Generated cells of rare classes raise the {TITLES[HEADLINE]} of {len(helped)} of {n} classifiers: {which}."


def _title(model: object, setting: object) -> str:
    return f"{model} ({setting})" if setting else str(model)


def _against_none(title: str, tests: pd.DataFrame) -> str:
    """The best generator by mean; all that are surely better or worse are named."""
    if not len(tests):
        return ""
    made = tests.sort_values("difference", ascending=False, kind="stable")
    best, n = made.iloc[0], len(made)
    judged = [f"{', '.join(names)} {verb} beyond chance" for sign, verb in _SIDES if (names := _sure(made, sign))]
    return (
        f"{title}: {TITLES[HEADLINE]} is {best['reference']:.3f} without added cells and {best['with_remedy']:.3f} "
        f"with those of {best['remedy']}, the best of {n} by mean, {_difference(best)}; "
        f"{' and '.join(judged) or 'no generator is better or worse beyond chance'}."
    )


def _simple(tests: pd.DataFrame) -> str:
    shown = [f"{row['remedy']} {_difference(row)}" for _, row in tests.iterrows()]
    return f"Without a generator: {'; '.join(shown)}." if shown else ""


def _rare(tests: pd.DataFrame) -> str:
    if not len(tests):
        return ""
    shown = [f"{row['remedy']} {row['difference']:+.3f}" for _, row in tests.iterrows()]
    return f"Over the rare classes alone, from a mean F1 of {tests.iloc[0]['reference']:.3f}: {', '.join(shown)}."


def _against_simple(title: str, tests: pd.DataFrame) -> str:
    """Whether a generator is better than copies, and than cells between cells."""
    said = []
    for against, part in tests.groupby("against", sort=False):
        found = [f"{', '.join(names)} {verb}" for sign, verb in _SIDES if (names := _sure(part, sign))]
        if not found:
            best = part.sort_values("difference", ascending=False).iloc[0]
            found = [f"none is shown to be better or worse (best {best['remedy']}, {_difference(best)})"]
        said.append(f"against {against}, {' and '.join(found)}")
    return f"Generators of cells for {title}: {'; '.join(said)}." if said else ""


def _sure(tests: pd.DataFrame, sign: int) -> list[str]:
    """The remedies whose difference has this sign beyond chance."""
    return tests[(tests["p_t_holm"] < CHANCE) & (sign * tests["difference"] > 0)]["remedy"].tolist()


def _difference(test: pd.Series) -> str:
    if math.isnan(test["ci_low"]):
        return f"{test['difference']:+.3f} (one seed, so no test)"
    around = f"{test['ci_low']:+.3f} to {test['ci_high']:+.3f}"
    return f"{test['difference']:+.3f} (95 % interval {around}, adjusted p {test['p_t_holm']:.2g})"
