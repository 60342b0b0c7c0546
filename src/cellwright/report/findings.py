"""Findings: what the tests of a perturbation study say, in sentences; careful ones where an interval includes 0.

networks.csv -against_baselines-> does a network beat the best baseline
remedies.csv -about_remedies-> which remedy helped, on average and for which type, what it did to the spread between
types, and whether training or shift needed balancing

Nothing is tested here: a remedy helped or did harm, a network is better or worse, where the Holm-adjusted p-value (over
remedies; over networks) is below `CHANCE`. What is tested are types, each the mean of its seeds; of a screen labels.
"""

import math
from collections.abc import Iterable

import pandas as pd

from cellwright.report.contents import entry_title
from cellwright.report.names import Name, name_of
from cellwright.report.responses import COMPARED, HEADLINES
from cellwright.report.standing import in_sentence
from cellwright.report.text import counted, listed, number, short

CHANCE = 0.05
NOTHING = 0.00005
MOST_NAMED = 4


def against_baselines(networks: pd.DataFrame, names: dict[str, Name]) -> list[str]:
    """Whether a network beats the best baseline by the headline, then the best one by other measures; [] without tests.

    The best network and the best baseline are those by mean; a better one among the other networks is named.
    """
    tests = networks[networks["difference"].notna()]
    headline = tests[tests["metric"].isin(HEADLINES)]
    if not len(headline):
        return []
    first = headline.iloc[0]
    said = [_headline(first, headline, names)]
    if len(headline) > 1:
        said.append(
            f"The network is the best of {len(headline)} networks and settings by these very scores, which flatters "
            "it; the tests allow for their number."
        )
    mine = tests[(tests["model"] == first["model"]) & (tests["setting"] == first["setting"])]
    mine = mine.set_index("metric", drop=False)
    said += [
        _other(mine.loc[metric], tests, names)
        for metric in COMPARED
        if metric not in HEADLINES and metric in mine.index
    ]
    return said


def signed(value: float) -> str:
    """`+0.012`, `−0.0004`: with a sign, and four decimals where three would hide it; `0.000` where four would."""
    if math.isnan(value) or abs(value) < NOTHING:
        return number(0.0 * abs(value))
    text = number(abs(value), 3 if abs(value) >= 0.001 else 4)
    return f"{'−' if value < 0 else '+'}{text}"


def outcome(row: pd.Series) -> str:
    """`better` or `worse` where the adjusted p-value is below chance, else `open`."""
    if not row["p_t_holm"] < CHANCE:
        return "open"
    return "better" if gain(row) > 0 else "worse"


def effect(row: pd.Series) -> str:
    """`helped` or `harmed` where a remedy's adjusted p-value is below chance, else `open`."""
    return {"better": "helped", "worse": "harmed", "open": "open"}[outcome(row)]


def kind_of(metric: str) -> str:
    """What is held out: a type; of a screen, which has a score of its own, a label, for it may be a replicate."""
    return "label" if metric.startswith("screen_score") else "type"


def gain(row: pd.Series) -> float:
    """The difference, positive where the remedy is better."""
    return float(-row["difference"] if row["better"] == "lower" else row["difference"])


def about_remedies(remedies: pd.DataFrame, names: dict[str, Name]) -> list[str]:
    """On average, by type, the spread, and where balancing was needed; [] where no remedy was tested."""
    tests = remedies[remedies["difference"].notna()]
    tests = tests.assign(label=_labels(tests, names))
    headline = tests[tests["metric"].isin(HEADLINES)]
    average, by_type = headline[headline["group"] == ""], headline[headline["group"] != ""]
    if not len(average):
        return []
    said = [_on_average(average), _by_other_metrics(tests), _by_type(by_type), _spread(tests), _where(average)]
    return [sentence for sentence in said if sentence]


def _headline(row: pd.Series, tests: pd.DataFrame, names: dict[str, Name]) -> str:
    network = _network(row, names)
    baseline = _baseline(row, names)
    measure = HEADLINES[row["metric"]]
    ours, theirs = number(row["network"]), number(row["best_baseline"])
    differ = f"{_over(row)} the difference is {_difference(row)}"
    winners = [_network(other, names) for _, other in tests.iterrows() if outcome(other) == "better"]
    if outcome(row) == "better":
        return (
            f"A network beats the best baseline: {network} reaches a {measure} of {ours}, {baseline} {theirs}; "
            f"{differ}."
        )
    if winners:
        sure = f"Better beyond chance: {listed(winners, MOST_NAMED)}."
        return (
            f"A network beats the best baseline, but not the best network by mean: {network} reaches a {measure} of "
            f"{ours} and {baseline} {theirs}; {differ}{_open(row)}. {sure}"
        )
    if row["difference"] > 0:
        return (
            f"No network is shown to beat the best baseline: {network} reaches a {measure} of {ours} and "
            f"{baseline} {theirs}, but {differ}{_open(row)}."
        )
    worse = ": the network is worse" if outcome(row) == "worse" else _open(row)
    return (
        f"No network beats the best baseline: {baseline} reaches a {measure} of {theirs}, the best network, "
        f"{network}, {ours}; {differ}{worse}."
    )


def _other(row: pd.Series, tests: pd.DataFrame, names: dict[str, Name]) -> str:
    baseline = _baseline(row, names)
    measure = COMPARED[row["metric"]]
    numbers = (
        f"{number(row['network'])} against {number(row['best_baseline'])} of {baseline}, difference {_difference(row)}"
    )
    judged = {
        "better": f"the network is better than the best baseline: {numbers}",
        "worse": f"the network is worse than the best baseline: {numbers}",
        "open": f"the network cannot be told from the best baseline: {numbers}",
    }
    best = tests[tests["metric"] == row["metric"]].iloc[0]
    other = (best["model"], best["setting"]) != (row["model"], row["setting"]) and outcome(best) == "better"
    winner = f"; {_network(best, names)} is better ({number(best['network'])})" if other else ""
    return f"By {_in_sentence(measure)} {judged[outcome(row)]}{winner}."


def _network(row: pd.Series, names: dict[str, Name]) -> str:
    return name_of(names, entry_title(row["model"], row["setting"]))


def _baseline(row: pd.Series, names: dict[str, Name]) -> str:
    return name_of(names, entry_title(row["baseline"], row["baseline_setting"]))


def _in_sentence(title: str) -> str:
    return title if title.startswith(("E-", "R2")) else in_sentence(title)


def _open(row: pd.Series) -> str:
    if math.isnan(row["ci_low"]):
        return ""
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return ", an interval that includes 0"
    return f", not beyond chance among as many (adjusted p {number(row['p_t_holm'])})"


def _difference(row: pd.Series) -> str:
    if math.isnan(row["ci_low"]):
        return f"{signed(row['difference'])} (one {kind_of(row['metric'])}, so no test)"
    return f"{signed(row['difference'])} (95 % interval {signed(row['ci_low'])} to {signed(row['ci_high'])})"


def _over(row: pd.Series) -> str:
    """`over 7 types (mean of 3 seeds each)`."""
    each = f"mean of {counted(int(row['n_seeds']), 'seed')} each"
    return f"over {counted(int(row['n_types']), kind_of(row['metric']))} ({each})"


def _labels(tests: pd.DataFrame, names: dict[str, Name]) -> list[str]:
    several = tests[["model", "setting"]].drop_duplicates().shape[0] > 1
    columns = (tests[name] for name in ("model", "setting", "remedy", "where"))
    return [
        short(f"{remedy} in {where}{' of ' + name_of(names, entry_title(model, setting)) if several else ''}", 90)
        for model, setting, remedy, where in zip(*columns, strict=True)
    ]


def _with_numbers(rows: pd.DataFrame) -> str:
    ranked = rows.assign(size=rows["difference"].abs()).sort_values("size", ascending=False)
    return listed([f"{row['label']} ({signed(row['difference'])})" for _, row in ranked.iterrows()], MOST_NAMED)


def _judged(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    kinds = [effect(row) for _, row in rows.iterrows()]
    return {kind: rows[[one == kind for one in kinds]] for kind in ("helped", "harmed", "open")}


def _on_average(average: pd.DataFrame) -> str:
    kinds = _judged(average)
    measure = _in_sentence(COMPARED[average.iloc[0]["metric"]])
    helped, harmed, rest = kinds["helped"], kinds["harmed"], kinds["open"]
    pairs = _over(average.iloc[0])
    if not len(helped) and not len(harmed):
        row = max((row for _, row in average.iterrows()), key=gain)
        if gain(row) <= 0:
            return f"On average, {pairs}, no remedy for unequal cell-type numbers raised {measure}."
        return (
            f"On average, {pairs}, no remedy for unequal cell-type numbers is shown to change {measure}; the "
            f"largest gain is that of {row['label']}: {_difference(row)}."
        )
    said = [
        f"{_with_numbers(rows)} {verb} {measure}"
        for rows, verb in ((helped, "raised"), (harmed, "lowered"))
        if len(rows)
    ]
    sentence = f"On average, {pairs}, {'; '.join(said)}"
    if not len(helped):
        sentence += "; no remedy is shown to raise it"
    elif len(rest):
        sentence += f"; {_rest(len(rest))} cannot be told from none"
    return sentence + "."


def _rest(n: int) -> str:
    return "the other remedy" if n == 1 else f"the other {n} remedies"


def _by_other_metrics(tests: pd.DataFrame) -> str:
    said = []
    for metric, title in COMPARED.items():
        if metric not in HEADLINES:
            kinds = _judged(tests[(tests["metric"] == metric) & (tests["group"] == "")])
            for kind, verb in (("helped", "better"), ("harmed", "worse")):
                if len(kinds[kind]):
                    said.append(f"{_in_sentence(title)} became {verb} by {_with_numbers(kinds[kind])}")
    return f"{_capital('; '.join(said))}." if said else ""


def _by_type(by_type: pd.DataFrame) -> str:
    if not len(by_type):
        return ""
    kind = kind_of(by_type.iloc[0]["metric"])
    n_seeds = int(by_type["n_seeds"].max())
    if n_seeds < 2:
        return f"With one seed a {kind} has one pair of runs, so which remedy helps which {kind} is open."
    said = []
    for group, rows in by_type.groupby("group", sort=False):
        kinds = _judged(rows)
        parts = [
            f"{verb} {_with_numbers(kinds[kind])}"
            for kind, verb in (("helped", "is helped by"), ("harmed", "is harmed by"))
            if len(kinds[kind])
        ]
        if parts:
            said.append(f"{short(str(group))} {' and '.join(parts)}")
    if not said:
        return f"For no single {kind} can a remedy be told from none (at most {n_seeds} seeds a {kind})."
    return f"By {kind}, beyond the noise of split and training over {n_seeds} seeds: {'; '.join(said)}."


def _spread(tests: pd.DataFrame) -> str:
    rows = tests[tests["metric"].isin([f"{metric}_spread" for metric in HEADLINES]) & (tests["group"] == "")]
    if not len(rows):
        return ""
    between = f"the spread between the best and the worst {kind_of(rows.iloc[0]['metric'])}"
    kinds = _judged(rows)
    said = [
        f"{_with_numbers(kinds[kind])} {verb} {between}"
        for kind, verb in (("harmed", "widened"), ("helped", "narrowed"))
        if len(kinds[kind])
    ]
    if said:
        return f"{_capital('; '.join(said))}."
    widest = rows.sort_values("difference").iloc[-1]
    if widest["difference"] <= 0:
        return f"No remedy widened {between}."
    one = widest["n_seeds"] < 2
    doubt = "one seed, so no test" if one else "which is not beyond chance"
    return f"{_capital(between)} grew most with {widest['label']}, by {signed(widest['difference'])}, {doubt}."


def _where(average: pd.DataFrame) -> str:
    """Whether the training or the shift needed balancing, by the remedies in the one place and in the other."""
    means = average.groupby("where", sort=False)["difference"].mean()
    if not {"training", "shift"} <= set(means.index):
        return ""
    helped = {str(row["where"]) for _, row in average.iterrows() if effect(row) == "helped"}
    changes = [f"in the {where} {signed(means[where])}" for where in ("training", "shift")]
    changes += [f"in both {signed(means['both'])}"] if "both" in means.index else []
    return f"Mean change over the remedies: {', '.join(changes)}. {_conclusion(helped)}"


def _conclusion(helped: set[str]) -> str:
    if not helped:
        return "Neither the training nor the shift is shown to have needed balancing."
    if {"training", "shift"} <= helped:
        return "Balancing helped in the training as well as in the shift."
    if "training" in helped:
        return "It was the training that needed balancing; balancing the shift alone is not shown to help."
    if "shift" in helped:
        return "It was the shift that needed balancing; balancing the training alone is not shown to help."
    return "Only balancing both is shown to help, neither of them alone."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def quick_note(plan: dict[str, object], n_seeds: int) -> Iterable[str]:
    """What a quick look leaves out, from `study.toml`."""
    options, fit = plan.get("perturb"), plan.get("fit")
    if isinstance(options, dict) and options.get("quick") is True:
        epochs = fit.get("max_epochs") if isinstance(fit, dict) else None
        trained = f"trained for at most {counted(epochs, 'epoch')}" if isinstance(epochs, int) else "trained briefly"
        seeds = counted(n_seeds, "seed")
        yield f"This was a quick look: networks were {trained}, with {seeds}; a full study may differ."
