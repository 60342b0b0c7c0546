"""`cellwright forecast RUN --data NEW --n-steps N --n-draws M --out FILE`: how sequences go on."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import filled_features, logging_failures, new_cells_for
from cellwright.cli.show import show
from cellwright.core.abilities import Forecasts
from cellwright.data.prepare import OpenOptions
from cellwright.run import Run
from cellwright.tasks.ask import needs
from cellwright.tasks.decode_forecast import decode_forecast
from cellwright.tasks.forecast import ForecastOptions, forecast
from cellwright.train.saved import load_run

app = App(name="forecast", help="How sequences go on, with a saved run.")


def run(
    run: Annotated[Path, Parameter(help="the run folder of a model that forecasts")],
    *,
    data: Annotated[str, Parameter(help="the sequences, steps matched by name; missing ones are not measured")],
    out: Annotated[Path, Parameter(help="the .h5ad to write: a column per step ahead")],
    decode_with: Annotated[
        Path | None, Parameter(help="the run that made the latent (pca, vae): genes are written, not latents")
    ] = None,
    seed: Annotated[int, Parameter(help="of all that is drawn")] = 0,
    options: ForecastOptions,
    keys: OpenOptions,
) -> None:
    """Write what is expected in X, and with draws the layers sd, q05, q25, q75, q95; keys not given are the run's."""
    with logging_failures(run):
        model = load_run(run)
        needs(model, Forecasts, "forecast")  # before the sequences are read
        source = new_cells_for(Run(run), model, data, out, keys)
        found = forecast(model, source, options, seed=seed)
        if decode_with is not None:
            found = decode_forecast(found, load_run(decode_with))
        write_cells(found, out)
    times = found.var.groupby("ahead")["step"].max()
    show(
        f"{Run(run).record.model}: {found.n_obs:,} rows, {options.n_steps} steps ahead (to {times.iloc[-1]:g})"
        f"{filled_features(source)} -> {out}"
    )


app.default(with_flags(run, options=Flags(ForecastOptions, group="Forecast"), keys=Flags(OpenOptions, group="Data")))
