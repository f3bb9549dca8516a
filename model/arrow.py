"""Arrow's compute functions, which are made when it is imported and unknown to type checkers."""

from typing import Any

import pyarrow.compute

compute: Any = pyarrow.compute
