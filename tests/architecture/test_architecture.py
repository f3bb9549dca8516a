"""The house stays as ARCHITECTURE.md draws it."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipelines", "components", "model", "validation", "examples", "services", "benchmarks")
SOURCES = sorted(
    file for package in (*PACKAGES, "feature_repo") for file in (ROOT / package).rglob("*.py")
)
FACES = sorted((ROOT / "components").glob("*/component.py"))


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def test_the_import_contracts_are_kept() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    command = [str(tool), "--no-cache", "--config", "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_top_level_name_resolves_inside_the_repository(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    assert places
    assert all(Path(place).resolve().is_relative_to(ROOT) for place in places)


def test_packages_of_components_say_nothing_on_import() -> None:
    inits = sorted((ROOT / "components").rglob("__init__.py"))
    assert len(inits) > len(STAGES)
    assert [named(file) for file in inits if file.read_text().strip()] == []


# ---- stages and faces


def test_every_stage_has_a_folder_a_function_and_a_face_of_its_name() -> None:
    assert [file.parent.name for file in FACES] == sorted(STAGES)
    for stage in STAGES:
        functions = {
            node.name: node
            for node in tree_of(ROOT / "components" / stage / "component.py").body
            if isinstance(node, ast.FunctionDef)
        }
        assert list(functions) == [stage]
        names = {
            node.name
            for node in tree_of(ROOT / "components" / stage / "stage.py").body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        assert {"run", "Settings"} <= names, stage


@pytest.mark.parametrize("face", FACES, ids=lambda file: file.parent.name)
def test_a_face_imports_its_stage_inside_and_holds_no_logic(face: Path) -> None:
    tree = tree_of(face)
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    body = [
        node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function
    ]
    assert len(function.body) - (ast.get_docstring(function) is not None) <= 8
    assert not [node for node in body if isinstance(node, ast.For | ast.While | ast.With | ast.Try)]
    inside = {node.module for node in body if isinstance(node, ast.ImportFrom)}
    assert f"components.{face.parent.name}.stage" in inside
    outside = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert outside <= {"kfp", "components.image", "typing"}


# ---- what is stored is data


def _calls(tree: ast.Module) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def _imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_no_source_loads_code_from_what_is_stored(file: Path) -> None:
    tree = tree_of(file)
    assert not _imports(tree) & {
        "pickle",
        "cPickle",
        "cloudpickle",
        "dill",
        "joblib",
        "shelve",
        "marshal",
    }
    banned = {
        "torch.load",
        "torch.save",
        "eval",
        "exec",
        "pd.read_pickle",
        "mlflow.pyfunc.load_model",
    }
    assert not _calls(tree) & banned
    loads = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle"
    ]
    assert not loads


@pytest.mark.parametrize("package", ["model", "validation"])
def test_the_pure_parts_read_no_clock_and_no_environment_of_a_run(package: str) -> None:
    banned = {
        "time.time",
        "datetime.now",
        "datetime.utcnow",
        "date.today",
        "os.getenv",
        "os.getcwd",
        "Path.cwd",
    }
    found = {
        named(file): sorted(_calls(tree_of(file)) & banned)
        for file in SOURCES
        if named(file).startswith(f"{package}/") and _calls(tree_of(file)) & banned
    }
    assert found == {}


def test_the_command_line_starts_without_the_vendors() -> None:
    code = "import json, sys, pipelines.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {
        "torch",
        "mlflow",
        "feast",
        "kfp",
        "pandas",
        "duckdb",
        "great_expectations",
        "boto3",
        "pyarrow",
        "numpy",
    }
    assert set(json.loads(done.stdout)) & heavy == set()


# ---- the table and the graph


def table_rows() -> list[list[str]]:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    head = next(
        i
        for i, line in enumerate(lines)
        if line.replace(" ", "").startswith("|stage|reads|writes|promise|")
    )
    rows = []
    for line in lines[head + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_architecture_table_lists_the_stages_in_their_order() -> None:
    rows = table_rows()
    assert tuple(row[0].strip("`") for row in rows) == STAGES
    assert all(len(row) == 4 and all(row) for row in rows)


def test_the_pipelines_docstring_lists_the_stages_in_their_order() -> None:
    text = ast.get_docstring(tree_of(ROOT / "pipelines/daily.py")) or ""
    assert tuple(re.findall(r"^ {4}(\w+) {2,}", text, re.MULTILINE)) == STAGES


def test_the_compiled_graph_has_exactly_these_tasks(tmp_path: Path) -> None:
    from pipelines.compile import compile_daily

    documents = list(yaml.safe_load_all(compile_daily(tmp_path / "daily.yaml").read_text()))
    compiled = documents[0]
    dags = [
        compiled["root"]["dag"],
        *(c["dag"] for c in compiled["components"].values() if "dag" in c),
    ]
    tasks = [
        name.replace("-", "_")
        for dag in dags
        for name, task in dag["tasks"].items()
        if "dag" not in compiled["components"].get(task["componentRef"]["name"], {})
    ]
    assert sorted(tasks) == sorted(STAGES)
    order = {
        name.replace("-", "_"): [d.replace("-", "_") for d in task.get("dependentTasks", [])]
        for dag in dags
        for name, task in dag["tasks"].items()
    }
    for stage, before in order.items():
        for earlier in set(before) & set(STAGES):
            if stage in STAGES and stage != "notify":
                assert STAGES.index(earlier) < STAGES.index(stage)
