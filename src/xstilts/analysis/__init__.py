"""From per-example contributions to gains with intervals; numpy, scipy and pandas only."""
