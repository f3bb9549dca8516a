"""The order of the suite: folders whose files take longest first.

Workers of pytest-xdist take file after file, so the last ones must be short: else one worker would
still be busy with a long file when the others have nothing left.
"""

from pathlib import Path

import pytest

LONGEST_FIRST = ("e2e", "stages", "laws", "unit")
TESTS = Path(__file__).parent


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)
