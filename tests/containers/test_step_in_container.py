"""Exit states and walls of real containers on podman's socket, through KFP's DockerRunner.

Asked for by GENCO_TEST_CONTAINERS=1 (docs/images.md): DOCKER_HOST names the socket, GENCO_IMAGE
the image, which must be there.
"""

import os
from pathlib import Path

import pytest

from components.errors import WrongUse
from pipelines.containers import open_work, run_container, runner_arguments

if os.environ.get("GENCO_TEST_CONTAINERS") != "1":
    pytest.skip("GENCO_TEST_CONTAINERS=1 asks for containers", allow_module_level=True)

IMAGE = os.environ.get("GENCO_IMAGE", "localhost/genco:local")


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A shell command in a container: its exit code and what it said."""
    import docker

    open_work(tmp_path)
    client = docker.from_env()

    def run(words: str, image: str = IMAGE) -> tuple[int, str]:
        arguments = runner_arguments(tmp_path, dict(os.environ))
        code = run_container(client, image, ["sh", "-c", words], {}, **arguments)
        return code, capsys.readouterr().out

    yield run
    client.close()


@pytest.mark.parametrize("code", [0, 1, 3, 137])
def test_the_exit_code_of_a_short_container_is_its_own(say, code: int) -> None:
    assert say(f"exit {code}")[0] == code


def test_a_step_is_not_root_and_writes_only_below_tmp_and_work(say, tmp_path: Path) -> None:
    assert say("id -u")[1].strip() == "10001"
    assert say("touch /opt/genco/x")[0] != 0
    assert say("touch /x")[0] != 0
    assert say(f"touch /tmp/x && touch {tmp_path}/made")[0] == 0
    assert (tmp_path / "made").exists()


def test_there_is_no_pip_at_run_time(say) -> None:
    code, said = say("python -m pip --version 2>&1; command -v pip")
    assert code != 0
    assert "No module named pip" in said


def test_the_command_and_every_stage_import(say) -> None:
    code, said = say("genco --help >/dev/null && python -c 'import pipelines.daily, torch, feast'")
    assert (code, said.count("Traceback")) == (0, 0)


def test_an_image_that_is_not_there_is_named(say) -> None:
    with pytest.raises(WrongUse, match="no image 'nobody/made:this'"):
        say("true", image="nobody/made:this")
