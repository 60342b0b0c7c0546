"""Early stopping: watches one number per epoch, lower is better."""

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """`update` says whether an epoch is the best so far; `should_stop` after `patience` epochs without a better."""

    patience: int
    min_delta: float
    best: float = float("inf")
    best_epoch: int = -1
    waited: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take the value of an epoch; True if it is better than the best so far by more than `min_delta`."""
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def should_stop(self) -> bool:
        """Whether patience is used up."""
        return self.waited >= self.patience
