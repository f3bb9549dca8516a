"""`python -m benchmarks.serving [choose|load]`: both, one after the other, where none is named."""

import argparse

from benchmarks.serving import choose, load

PARTS = {"choose": choose.main, "load": load.main}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=tuple(PARTS))
    asked = parser.parse_known_args()[0].part
    for name in [asked] if asked else PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
