"""The data stages beside the bare work: `--only PART` runs one part, else all one after another.

A part is the module of that name in this package, with `main(arguments)`; what follows on the
command line goes to it.
"""

import argparse
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

PARTS = ("ingest", "spark", "gx", "features")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="the part to run")
    asked, rest = parser.parse_known_args()
    if asked.only:
        import_module(f"benchmarks.data.{asked.only}").main(rest)
        return
    for part in (p for p in PARTS if find_spec(f"benchmarks.data.{p}")):
        print(f"== {part}", flush=True)  # a process each: no part's memory counts for another
        subprocess.run([sys.executable, "-m", "benchmarks.data", "--only", part], check=True)


if __name__ == "__main__":
    main()
