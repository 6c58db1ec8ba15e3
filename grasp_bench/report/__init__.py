"""Tables and figures from results files. Reads parquet alone and never imports torch."""

from typing import Literal

Format = Literal["rich", "markdown", "latex", "csv"]

# Wide enough for the paper's four planners with the published numbers beside them.
PLAIN_WIDTH = 200
