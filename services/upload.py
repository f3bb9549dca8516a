"""`python -m services.upload FOLDER s3://bucket/prefix NAME...`: a source's folders as objects."""

import argparse
from pathlib import Path

from components.adapters.storage import open_storage


def upload(folder: Path, location: str, names: list[str]) -> int:
    """Files below folder/name are objects below location/name; returns how many were sent.

    Objects of the same size are left as they are.
    """
    storage = open_storage(location)
    sent = 0
    for name in names:
        there = {stored.path: stored.size for stored in storage.listing(name)}
        for file in sorted(f for f in (folder / name).rglob("*") if f.is_file()):
            path = file.relative_to(folder).as_posix()
            if there.get(path) != file.stat().st_size:
                storage.upload(file, path)
                sent += 1
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("location")
    parser.add_argument("names", nargs="+")
    asked = parser.parse_args()
    sent = upload(asked.folder, asked.location, asked.names)
    print(f"{sent} files of {asked.folder} sent to {asked.location}")


if __name__ == "__main__":
    main()
