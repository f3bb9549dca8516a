"""`genco evaluate`: a version on a day's held-out bags, and a bundle on rows of a file."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_shop import DS, write_config, write_shop
from typer.testing import CliRunner

from components.errors import Refused, WrongUse
from components.promotion import decision_path
from pipelines import cli, deciding, running


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose store holds one judged day."""
    root = tmp_path_factory.mktemp("evaluate")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    running.run(config, DS, None, "local")
    return config


@pytest.fixture(scope="module")
def bundle(judged: Path) -> Path:
    desk = deciding.open_desk(judged, "anna")
    return Path(desk.storage.locate(desk.registry.get(1).bundle))


@pytest.fixture(scope="module")
def bags(judged: Path) -> Path:
    store = judged.with_name("store")
    manifest = json.loads((store / f"manifests/ds={DS}.json").read_text())
    return store / manifest["tables"]["bags"][0]["path"]


def genco(*words: object) -> tuple[int, dict]:
    """(exit code, the JSON object printed last) of `genco evaluate ... --json`."""
    done = CliRunner().invoke(cli.app, ["evaluate", *map(str, words), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.stdout.strip().splitlines()[-1])


def files_of(store: Path) -> dict[str, bytes]:
    """Every file that a reader of the store may see, its scratch left out."""
    mine = [f for f in store.rglob("*") if f.is_file() and "work" not in f.relative_to(store).parts]
    return {str(file.relative_to(store)): file.read_bytes() for file in mine}


def test_the_days_own_version_is_judged_as_the_gate_judged_it_and_the_store_is_untouched(
    judged: Path, tmp_path: Path
) -> None:
    before = files_of(judged.with_name("store"))
    out = tmp_path / "evidence.json"
    code, told = genco("--config", judged, "--ds", DS, "--out", out)
    assert files_of(judged.with_name("store")) == before
    desk = deciding.open_desk(judged, "anna")
    decision = json.loads(desk.storage.read(decision_path(desk.registry.get(1).bundle)))
    assert (told["version"], told["against"]) == (1, "log")
    assert (told["verdict"], told["reasons"]) == (decision["verdict"], list(decision["reasons"]))
    assert code == {"PROMOTE": 0, "HOLD": 3, "REJECT": 4}[told["verdict"]]
    was, now = decision["evidence"], json.loads(out.read_text())
    assert now.pop("serving")["answered"] == was.pop("serving")["answered"]  # times differ
    assert now == was


def test_a_version_that_learned_from_the_judging_days_says_so(judged: Path) -> None:
    from dataclasses import replace

    from components.adapters.registry import Version
    from components.evaluate_candidate.incumbent import Champion
    from pipelines.evaluating import _honest

    tree = {"policy_value": {"judged_days": [DS]}}
    knowing = Champion(Version(1, "", {}), None, learned=(DS,))
    verdict, reasons = _honest("PROMOTE", ["fine"], knowing, tree)
    assert verdict == "HOLD"
    assert DS in reasons[0]
    assert _honest("REJECT", [], knowing, tree)[0] == "REJECT"
    assert _honest("PROMOTE", ["fine"], replace(knowing, learned=()), tree) == ("PROMOTE", ["fine"])


def test_a_bundle_against_itself_differs_by_nothing(bundle: Path, bags: Path) -> None:
    code, told = genco("--bundle", bundle, "--bags", bags, "--against", bundle)
    assert code == 0
    assert told["rows"] + told["rows_left_out"] == len(pq.read_table(bags))
    for name, one in told["outcomes"]["click"]["estimates"].items():
        assert one["difference"]["value"] == 0, name


def test_the_incumbent_is_what_the_log_earned(bundle: Path, bags: Path) -> None:
    _, told = genco("--bundle", bundle, "--bags", bags)
    rows = pq.read_table(bags)
    rows = rows.filter(rows["click_mature"])
    earned = sum(rows["clicks"].to_pylist()) / sum(rows["impressions"].to_pylist())
    assert told["outcomes"]["click"]["estimates"]["snips"]["incumbent"]["value"] == pytest.approx(
        earned, rel=1e-9
    )


def test_rows_without_a_propensity_are_held(bundle: Path, bags: Path, tmp_path: Path) -> None:
    rows = pq.read_table(bags)
    nulls = pa.nulls(len(rows), pa.float64())
    place = rows.column_names.index("propensity")
    file = tmp_path / "bags.parquet"
    pq.write_table(rows.set_column(place, "propensity", nulls), file)
    code, told = genco("--bundle", bundle, "--bags", file)
    assert told["displays_of_known_propensity"] == 0
    assert code == 3
    assert told["outcomes"]["click"]["estimates"]["snips"]["difference"]["value"] is None


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("--config {config} --ds 2026-11-23", WrongUse, "was not judged"),
        ("--config {config} --ds {ds} --version 9", WrongUse, "version 9 is not registered"),
        ("--config {config} --ds {ds} --against 1", WrongUse, "against itself"),
        ("--config {config} --ds {ds} --against best", WrongUse, "expected a version's number"),
        ("--config {config} --ds [[Scheduled]]", WrongUse, "macro"),
        ("--config {config} --ds {ds} --bags {bags}", WrongUse, "not a mixture"),
        ("--bundle {bundle}", WrongUse, "--bundle DIR --bags FILE"),
        ("--bundle {bundle} --bags {config}", WrongUse, "cannot be read"),
        ("--bundle {bags} --bags {bags}", Refused, "manifest.json"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    judged: Path, bundle: Path, bags: Path, words: str, error: type[Exception], said: str
) -> None:
    given = words.format(config=judged, ds=DS, bundle=bundle, bags=bags).split()
    with pytest.raises(error, match=said.replace("[", r"\[")):
        genco(*given)


def test_a_propensity_that_cannot_be_is_refused(bundle: Path, bags: Path, tmp_path: Path) -> None:
    rows = pq.read_table(bags)
    place = rows.column_names.index("propensity")
    file = tmp_path / "bags.parquet"
    pq.write_table(rows.set_column(place, "propensity", pa.array([1.5] * len(rows))), file)
    with pytest.raises(Refused, match="outside"):
        genco("--bundle", bundle, "--bags", file)
