"""What an engine is given to make days from, what it counts, and DuckDB as that engine."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.day import Day, attempt_path
from components.ingest_logs.attribution import Windows
from components.ingest_logs.catalog import Catalog, load_rules
from components.ingest_logs.inputs import KINDS, LogFile
from components.ingest_logs.joining import Joining, join
from components.ingest_logs.raw import write_raw
from components.ingest_logs.reading import Reading, read_files
from components.ingest_logs.release import Release, supersede, waivers
from components.ingest_logs.soundness import damaged
from components.ingest_logs.typed import Shape
from components.ingest_logs.writing import write_tables
from components.sql import open_database
from validation.contract import Rule

if TYPE_CHECKING:
    import duckdb

STAGE = "ingest_logs"
Tables = dict[str, list[str]]  # table -> names of its files below the attempt's folder


@dataclass(frozen=True)
class Making:
    """Days to be made again, and everything that they are made from.

    files: to be read, each content once. made: day -> attempt. damaged: path -> sentence of files
    that were found to be unreadable.
    """

    day: Day
    files: list[LogFile]
    catalog: Catalog
    releases: list[Release]
    shape: Shape
    windows: Windows
    rules: tuple[Rule, ...]
    test_traffic: Mapping[str, tuple[str, ...]]
    made: Mapping[str, str]
    again: list[str]
    memory: str
    threads: int | None
    damaged: Mapping[str, str] = field(default_factory=dict)

    def place(self, dt: str) -> str:
        return f"{attempt_path(dt, self.made[dt])}/{STAGE}"

    def joining(self, database: "duckdb.DuckDBPyConnection", reading: Reading) -> Joining:
        """The joins over what was read, with the catalog's rules loaded."""
        numbers = {file.path: number for number, file in enumerate(self.files)}
        waived = {
            rule: [numbers[path] for path in paths if path in numbers]
            for rule, paths in waivers(self.releases).items()
        }
        lists = load_rules(database, self.catalog, self.shape.slots)
        rules, test = self.rules, self.test_traffic
        return Joining(database, reading, self.windows, rules, waived, lists, test)

    def upload(self, dt: str, local: Path, name: str) -> str:
        """The file's name, now that it lies in the day's attempt."""
        self.day.storage().upload(local, f"{self.place(dt)}/{name}")
        local.unlink()
        return name


@dataclass
class Counts:
    """Rows of each file by its path: read, and repeats among them; and why a file was not read."""

    read: dict[str, int] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


Finish = Callable[[str, Tables, Counts], None]
Engine = Callable[[Making, Finish], Counts]


def make(engine: Engine, making: Making, finish: Finish) -> Counts:
    """The days `again` by the engine; where a file's pages turn out damaged, again without it.

    Only a failure makes anyone look at every page, and one that no file explains stays as it is.
    """
    try:
        return engine(making, finish)
    except Exception as error:
        if "duckdb" not in f"{type(error).__module__} {error}".lower():
            raise
        with (
            making.day.scratch("damaged") as folder,
            open_database(folder, making.memory, making.threads) as database,
        ):
            rest = [file for file in making.files if file.path not in making.damaged]
            found = damaged(database, rest)
        if not found:
            raise
        return make(engine, replace(making, damaged={**making.damaged, **found}), finish)


def make_on_duckdb(making: Making, finish: Finish) -> Counts:
    """The days `again` are in the store; `finish` is told of each as soon as its files are."""
    with (
        making.day.scratch("ingest") as folder,
        open_database(folder, making.memory, making.threads) as database,
    ):
        reading = read_files(database, making.files, making.shape, folder, None, making.damaged)
        supersede(database, reading, making.releases, KINDS)
        joining = making.joining(database, reading)
        join(joining)
        paths = [file.path for file in making.files]
        query = "SELECT file, count(*) FROM duplicates GROUP BY file"
        counts = Counts(
            read={paths[number]: source.rows for number, source in reading.sources.items()},
            repeated={paths[n]: count for n, count in database.execute(query).fetchall()},
            unreadable=reading.unreadable,
        )
        for dt in making.again:
            files = write_tables(joining, dt, folder, making.threads)
            raw = folder / "raw.parquet"
            unfit = files["checked"], files["rejected"], files["events"]
            write_raw(joining, *unfit, raw, making.threads)
            files["raw"] = [raw]
            names = {t: [making.upload(dt, f, f.name) for f in fs] for t, fs in files.items()}
            finish(dt, names, counts)
    return counts


def accounts_of(
    files: list[LogFile], copies: Mapping[str, str], counts: Counts
) -> dict[str, list[dict[str, Any]]]:
    """For every day, what was read of each file: rows, repeats, and why not, where it was not."""
    accounts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in files:
        original = copies.get(file.path)
        rows = counts.read.get(original or file.path, 0)
        entry: dict[str, Any] = {"file": file.path, "kind": file.kind, "sha256": file.sha256}
        repeats = rows if original else counts.repeated.get(file.path, 0)
        entry |= {"read": rows, "duplicate": repeats}
        if original and rows:  # files without a row are alike without being copies
            entry["copy_of"] = original
        why = counts.unreadable.get(original or file.path)
        if why is not None:
            entry["unreadable"] = why.replace(original, file.path) if original else why
        accounts[file.dt].append(entry)
    return accounts
