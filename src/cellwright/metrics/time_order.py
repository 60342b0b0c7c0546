"""Order in time: do cells stand along a trajectory as they stand in time.

pseudotime (n_obs,), time (n_obs,) -> Spearman's correlation over the cells whose time is known

References: [Spearman1904]; [Haghverdi16] for a pseudotime that knows only where it starts; [Luecken22] for the question
after an integration (there scaled to 0 to 1).
"""

import numpy as np
from scipy import stats

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels


def time_order(pseudotime: np.ndarray, time: np.ndarray) -> float:
    """1 where pseudotime rises with time, -1 where it falls; 0 where all cells have one pseudotime.

    A cell that the trajectory does not reach (infinity) counts as the last. Cells without a time (NaN) are left out.
    Raises `DataError` for other numbers of cells, and where fewer than two times are left.
    """
    if len(pseudotime) != len(time):
        raise DataError(
            f"pseudotime and time must be of the same cells; there are {len(pseudotime)} and {len(time)}. "
            "Give one of each per cell."
        )
    known = np.isfinite(time)
    pseudotime, time = pseudotime[known], time[known]
    if len(np.unique(time)) < 2:
        raise DataError(
            f"time_order needs cells of two times; there are {len(np.unique(time))}. Give another time_key."
        )
    if len(np.unique(pseudotime)) < 2:
        return 0.0
    return float(stats.spearmanr(pseudotime, time).statistic)


TIME_ORDER = Metric(
    function=time_order,
    title="Order in time (Spearman of pseudotime)",
    task="integrate",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("pseudotime", "time"),
    citation="Haghverdi16",
    by_label=within_labels(time_order),
)
