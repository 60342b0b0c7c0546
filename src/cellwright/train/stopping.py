"""Early stopping: watches one number per epoch, lower is better.

value of each epoch -> is it the best so far (its weights are kept); has patience run out (training stops)
"""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Stops when `patience` epochs have brought less than `min_improvement` of all the improvement since the first.

    A share of the improvement, because a loss may have any unit and any constant in it: one per cent of a Gaussian's
    negative log-likelihood can be all that there is to learn.
    """

    patience: int
    min_improvement: float
    first: float = math.inf
    best: float = math.inf
    best_epoch: int = -1
    mark: float = math.inf  # what has to be improved on before patience runs out
    waited: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take the value of an epoch; True if it is the best so far."""
        if math.isinf(self.first):
            self.first = value
        if value < self.mark - self._wanted():
            self.mark, self.waited = value, 0
        else:
            self.waited += 1
        if value < self.best:
            self.best, self.best_epoch = value, epoch
            return True
        return False

    @property
    def should_stop(self) -> bool:
        """Whether patience is used up."""
        return self.waited >= self.patience

    def _wanted(self) -> float:
        return 0.0 if math.isinf(self.mark) else self.min_improvement * max(0.0, self.first - self.mark)
