"""Options of training, the same for every model."""

from typing import Literal

from pydantic import Field

from cellwright.core.options import Options
from cellwright.data.balance import AnyBalance, NoBalance

USUAL_EPOCHS = 400
CELLS_SEEN = 8_000_000  # by default; 400 epochs of 20,000 cells


class FitOptions(Options):
    """How long, on what, and with which safeguards a model is trained."""

    max_epochs: int | None = Field(
        None,
        ge=1,
        description="passes over the training cells at most; None is the model's own or 400, fewer above 20,000 cells",
    )
    batch_size: int = Field(128, ge=2, description="cells per minibatch, over all devices together")
    seed: int = Field(0, ge=0, lt=2**32, description="of the weights, the order of cells and the noise")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells kept for early stopping")
    patience: int = Field(10, ge=1, description="epochs that must bring `min_improvement`, or training stops")
    min_improvement: float = Field(
        0.02, ge=0, lt=1, description="share of all the improvement since the first epoch; 0: any improvement will do"
    )
    gradient_clip: float | None = Field(10.0, gt=0, description="largest norm of the gradient; None is no limit")
    balance: AnyBalance = Field(
        NoBalance(), description="remedy for classes of unequal size, in training only (`list balances`)"
    )
    shuffle_block_rows: int | None = Field(
        None,
        ge=1,
        description="contiguous rows that stay together in the shuffle; None is 1 in memory, 16 to 1,024 from disk, "
        "where memory holds 256 such blocks twice (4,096 rows at least, 262,144 at most)",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto is cuda where there is one, else cpu"
    )
    devices: int = Field(1, ge=1, description="how many of them")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true",
        description="of the arithmetic; bf16-mixed makes large products faster where the processor has bfloat16",
    )
    checkpoint_seconds: float = Field(30.0, ge=0, description="time between checkpoints of a fit with a run folder")

    def epochs(self, n_train: int, usual: int | None = None) -> int:
        """`max_epochs`, or its default for that many training cells; `usual` is the most that a model asks for."""
        return self.max_epochs or int(min(usual or USUAL_EPOCHS, max(10, CELLS_SEEN // max(1, n_train))))
