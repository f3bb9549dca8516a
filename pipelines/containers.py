"""Steps in containers through KFP's DockerRunner: its arguments, and its exit state mended.

KFP 2.17 removes a container as it ends and reads "not found" as exit 0, so a step that failed
can pass for one that was done. Here the container is kept until its exit state was read. An image
is looked up by the engine, so that podman's `localhost/` before a short name does no harm, and is
never pulled: what runs is what was built.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import Failed, WrongUse

USER = "10001:0"
POLL_S = 0.2
ENDED = ("exited", "stopped", "dead")
PASSED_ON = ("AWS_", "MLFLOW_", "GENCO_", "OMP_NUM_THREADS")


def runner_arguments(work: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Keyword arguments of KFP's DockerRunner: not root, nothing writable but /tmp and `work`.

    The network is the host's, since S3 and MLflow may listen on its loopback only. The ulimits
    are those that podman without a user namespace can set.
    """
    from docker.types import Mount, Ulimit

    passed = {name: text for name, text in environment.items() if name.startswith(PASSED_ON)}
    return {
        "user": USER,
        "read_only": True,
        "tmpfs": {"/tmp": "rw,mode=1777"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "network_mode": "host",
        "environment": passed,
        "mounts": [Mount(str(work), str(work), type="bind")],
        "ulimits": [Ulimit(name=name, soft=16384, hard=16384) for name in ("nofile", "nproc")],
    }


def open_work(work: Path) -> None:
    """Makes the work folder one that the image's user may write to, where we are root."""
    work.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(work, int(USER.split(":")[0]), 0)
    os.chmod(work, 0o2775)


@contextmanager
def mended() -> Iterator[None]:
    """KFP's DockerRunner runs its containers by `run_container` for the block."""
    from kfp.local import docker_task_handler

    theirs = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = run_container
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = theirs


def run_container(
    client: Any, image: str, command: list[str], volumes: dict[str, Any], **arguments: Any
) -> int:
    """The container's exit code, read before it is removed; then what it said is printed.

    Its state is asked for: podman 4.3 ends a followed log up to a minute after the container.
    """
    _check_present(client, image)
    container = client.containers.run(
        image=image, command=command, volumes=volumes, detach=True, **arguments
    )
    try:
        while container.status not in ENDED:
            time.sleep(POLL_S)
            container.reload()
        print(container.logs().decode(errors="replace"), end="")
        state = container.attrs["State"]
        if state.get("OOMKilled"):
            raise Failed(f"a step in {image} was killed at its memory limit; raise it, run again")
        return int(state["ExitCode"])
    finally:
        container.remove(force=True)


def _check_present(client: Any, image: str) -> None:
    from docker.errors import ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound as error:
        raise WrongUse(
            f"the container engine has no image {image!r}; build it with `make image`, "
            "or name another one in GENCO_IMAGE"
        ) from error
