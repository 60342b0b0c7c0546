"""Studies: many runs, their statistics, and where they are."""
