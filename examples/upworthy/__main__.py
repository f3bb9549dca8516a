"""`python -m examples.upworthy`: the archive's tests as our logs and catalog."""

import argparse
import json
import sys
from pathlib import Path

from examples.upworthy.adapter import write
from examples.upworthy.archive import read_archive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="archive CSV, or its Parquet")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    try:
        arms, left_out = read_archive(asked.source)
    except (OSError, ValueError) as error:
        print(f"examples.upworthy: {error}", file=sys.stderr)
        return 2
    counts = write(arms, asked.out)
    print(json.dumps({**counts, "left out": left_out}))
    print(f"the day to run is the last one: --ds {counts['last']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
