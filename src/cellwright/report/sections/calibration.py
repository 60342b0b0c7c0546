"""Calibration: are classifiers right as often as they say, and what is gained by leaving unsure cells unanswered.

Answers -> bins of confidence -> accuracy in each, against the diagonal (reliability diagram [Guo17]); a view per model
        -> cells by falling confidence -> accuracy of the surest share of the cells [ElYaniv10]; a line per model
"""

import numpy as np

from cellwright.metrics.ece import bins_of, ece
from cellwright.report.answers import Answers, answers_of
from cellwright.report.contents import Contents
from cellwright.report.names import Name, name_of, names_of
from cellwright.report.section import Context, Section
from cellwright.report.text import in_figure, number, short
from cellwright.report.theme import (
    FAINT_INK,
    PALETTE,
    TRAINING,
    Figure,
    Json,
    axis,
    axis_title,
    layout,
    legend,
)

POINTS = 150  # of a curve; a line of so many is smooth at the width of a page
Z = 1.96  # of the 95 % interval
MARGIN = 0.02  # between mean probability and accuracy, up to which nobody would call a model too sure


def context(contents: Contents) -> Context | None:
    """Two figures per data set with answers on held-out cells; None where there is none."""
    blocks = []
    names = names_of(contents)
    for data in contents.data_names:
        if found := answers_of(contents, data):
            blocks.append(_block(short(data), found, names))
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("How sure the classifiers are", context)


def _block(data: str, found: list[Answers], names: dict[str, Name]) -> Context:
    views = {in_figure(name_of(names, answers.title), 34): _reliability(answers) for answers in found}
    curve = _coverage(found, names)
    return {
        "data": data,
        "sentences": [_too_sure(found[0], name_of(names, found[0].title)), *_answered(found, names)],
        "reliability": Figure(views, 380, "Accuracy against confidence of held-out cells", as_list="model"),
        "coverage": Figure({"": curve}, 380 + legend(len(found))[1], "Accuracy against the share of cells answered"),
        "scaled": any((answers.temperatures != 1).any() for answers in found),
        "thresholds": any(answers.has_threshold for answers in found),
    }


def before_scaling(answers: Answers) -> np.ndarray:
    """The probabilities that the model gave before they were scaled by the temperature of its run."""
    raw = answers.probabilities.astype(np.float64) ** answers.temperatures[:, None]
    return raw / raw.sum(axis=1, keepdims=True)


def bins(codes: np.ndarray, probabilities: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and number of cells of each bin that has one, as the calibration error counts them."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == codes
    of = bins_of(confidence)
    rows = [of == i for i in np.unique(of)]
    return [(float(confidence[row].mean()), float(right[row].mean()), int(row.sum())) for row in rows]


def coverage_curve(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Share of the cells that are answered at each possible threshold, and the accuracy among them."""
    order = np.argsort(-answers.confidence, kind="stable")
    confidence, right = answers.confidence[order], (answers.predicted == answers.codes)[order]
    n = np.arange(1, len(order) + 1)
    is_last = np.append(confidence[1:] < confidence[:-1], True)  # cells of one probability are answered together
    return n[is_last] / len(order), (np.cumsum(right) / n)[is_last]


def _too_sure(answers: Answers, title: str) -> str:
    mean, right = answers.confidence.mean(), (answers.predicted == answers.codes).mean()
    error = number(ece(answers.codes, answers.probabilities))
    too_sure, too_modest = mean - right > MARGIN, right - mean > MARGIN
    how = "too sure of itself" if too_sure else "not sure enough" if too_modest else "about as sure as it may be"
    said = (
        f"{title} is {how}: its answers have a mean probability of {mean:.0%}, and {right:.0%} are right (calibration "
        f"error {error}"
    )
    if (answers.temperatures != 1).any():
        before = number(ece(answers.codes, before_scaling(answers)))
        said += f"; {before} before the scaling by a temperature of {number(float(np.median(answers.temperatures)), 2)}"
    return said + ")."


def _answered(found: list[Answers], names: dict[str, Name]) -> list[str]:
    """What the thresholds of the runs came to on held-out cells, of the model that leads."""
    best = found[0]
    if not best.has_threshold:
        return []
    answered = best.answered
    title = name_of(names, best.title)
    if not answered.any():
        return [f"{title} answers no held-out cell: no validation cells were right as often as was asked for."]
    right = (best.predicted == best.codes)[answered].mean()
    forced = (best.predicted == best.codes).mean()
    said = f"With the thresholds from validation cells {title} answers {answered.mean():.0%} of the held-out cells"
    return [f"{said}, of which {right:.1%} are right; of all cells it would be {forced:.1%}."]


def _reliability(answers: Answers) -> Json:
    kinds = [("", answers.probabilities, TRAINING)]
    if (answers.temperatures != 1).any():
        kinds = [("before", before_scaling(answers), FAINT_INK), ("after", answers.probabilities, TRAINING)]
    traces = [_diagonal()]
    for name, probabilities, colour in kinds:
        error = number(ece(answers.codes, probabilities))
        label = f"{name} scaling, " if name else ""
        traces.append(_dots(bins(answers.codes, probabilities), f"{label}calibration error {error}", colour))
    look = layout(
        xaxis=axis(title=axis_title("probability of the label given"), range=[-0.02, 1.03], tickformat=".0%"),
        yaxis=axis(title=axis_title("share that is right"), range=[-0.02, 1.05], tickformat=".0%"),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 64, "r": 16, "t": 46, "b": 56}, hovermode="closest",
    )  # fmt: skip
    return {"data": traces, "layout": look}


def _diagonal() -> Json:
    return {
        "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip", "showlegend": False,
        "line": {"color": FAINT_INK, "width": 1, "dash": "dot"},
    }  # fmt: skip


def _dots(found: list[tuple[float, float, int]], name: str, colour: str) -> Json:
    """A dot per bin, its area by the cells in it, with Wilson's interval of the share that is right."""
    most = max(n for _, _, n in found)
    ends = [wilson(right, n) for _, right, n in found]
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [round(confidence, 4) for confidence, _, _ in found], "y": [round(right, 4) for _, right, _ in found],
        "text": [f"{right:.1%} of {n:,} answers with about {p:.0%} are right" for p, right, n in found],
        "hovertemplate": "%{text}<extra></extra>",
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 0, "color": colour,
            "array": [round(high - right, 4) for (_, right, _), (_, high) in zip(found, ends, strict=True)],
            "arrayminus": [round(right - low, 4) for (_, right, _), (low, _) in zip(found, ends, strict=True)],
        },
        "marker": {"color": colour, "opacity": 1, "size": [round(5 + 13 * (n / most) ** 0.5, 1) for _, _, n in found]},
    }  # fmt: skip


def wilson(share: float, n: int) -> tuple[float, float]:
    """The ends of Wilson's 95 % interval of a share of `n`."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _coverage(found: list[Answers], names: dict[str, Name]) -> Json:
    traces: list[Json] = []
    lowest = 1.0
    for i, answers in enumerate(found):
        colour, title = PALETTE[i % len(PALETTE)], in_figure(name_of(names, answers.title), 34)
        share, right = coverage_curve(answers)
        at = np.unique(np.searchsorted(share, np.linspace(0.05, 1, POINTS)).clip(max=len(share) - 1))
        lowest = min(lowest, float(right[at].min()))
        traces.append(
            {
                "type": "scatter", "mode": "lines", "name": title, "line": {"color": colour, "width": 2},
                "x": np.round(share[at], 4).tolist(), "y": np.round(right[at], 4).tolist(),
                "hovertemplate": f"{title}: %{{x:.0%}} answered, %{{y:.1%}} of them right<extra></extra>",
            }
        )  # fmt: skip
        if answers.has_threshold and answers.answered.any():
            traces.append(_chosen(answers, title, colour))
    look, room = legend(len(found))
    return {
        "data": traces,
        "layout": layout(
            xaxis=axis(title=axis_title("share answered, the surest cells first"), range=[0, 1.02], tickformat=".0%"),
            yaxis=axis(title=axis_title("accuracy among them"), range=[max(0, lowest - 0.03), 1.01], tickformat=".0%"),
            legend=look, hovermode="closest", margin={"l": 64, "r": 16, "t": 16, "b": 60 + room},
        ),
    }  # fmt: skip


def _chosen(answers: Answers, title: str, colour: str) -> Json:
    answered = answers.answered
    share, right = float(answered.mean()), float((answers.predicted == answers.codes)[answered].mean())
    return {
        "type": "scatter", "mode": "markers", "showlegend": False, "x": [round(share, 4)], "y": [round(right, 4)],
        "hovertemplate": f"{title} at the chosen threshold: {share:.0%} answered, {right:.1%} right<extra></extra>",
        "marker": {"color": "#ffffff", "size": 11, "line": {"color": colour, "width": 3}},
    }  # fmt: skip
