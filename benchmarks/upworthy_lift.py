"""The Upworthy tables of `python -m benchmarks.reward`, under the name that they had first."""

import sys

from benchmarks.reward.__main__ import main

if __name__ == "__main__":
    main(["--only", "upworthy", *sys.argv[1:]])
