"""up, down, status and env over the four services below one root."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.errors import Failed, WrongUse
from services import credentials, ports, postgres, process
from services.mlflow import MLFLOW
from services.postgres import POSTGRES
from services.process import Launch, Process
from services.redis import REDIS
from services.seaweedfs import S3
from services.service import Service, Site, await_health, fault, log_file

# in the order of starting: what another needs comes before it
SERVICES = (S3, POSTGRES, REDIS, MLFLOW)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Condition:
    """One row of the status: `found` says healthy, down, or what is wrong."""

    name: str
    found: str
    address: str
    pid: int | None

    @property
    def is_healthy(self) -> bool:
        return self.found == "healthy"


def chosen(only: str | None) -> tuple[Service, ...]:
    """The services named in a comma-separated list, all without one; WrongUse on a stranger."""
    if only is None:
        return SERVICES
    names = {name.strip() for name in only.split(",")}
    known = [service.name for service in SERVICES]
    if strangers := sorted(names - set(known)):
        raise WrongUse(f"--only names {', '.join(strangers)}; expected some of {','.join(known)}")
    return tuple(service for service in SERVICES if service.name in names)


def up(root: Path, only: str | None, deadline_s: float, say: Say) -> None:
    """The chosen services, and those that they need, are running and well."""
    named = chosen(only)
    needed = {need for service in named for need in service.needs}
    wanted = tuple(s for s in SERVICES if s in named or s.name in needed)
    with _alone(root):
        _refuse_lost_secrets(root)
        site = _site(root, credentials.ensure(root, os.environ))
        if os.environ.get(credentials.ACCESS) not in (None, "", site.credentials.access_key):
            kept = credentials.credentials_file(root)
            say(f"s3 uses the key kept in {kept}, not the one in the environment")
        absent = [service for service in wanted if _running(root, service) is None]
        for service in absent:
            _forget(root, service)
        _refuse_taken(absent, site)
        launches = {service.name: service.launch(site) for service in absent}
        for wave in (False, True):
            among = [service for service in wanted if bool(service.needs) == wave]
            _bring_up(among, launches, site, deadline_s, say)


def _bring_up(
    among: Sequence[Service],
    launches: Mapping[str, Launch],
    site: Site,
    deadline_s: float,
    say: Say,
) -> None:
    """Started together, then waited for one after another; one that fails is stopped again."""
    begun = [(service, _begin(service, launches, site)) for service in among]
    for service, started in begun:
        try:
            await_health(service, site, started, deadline_s)
        except Failed:
            if service.name in launches:
                _forget(site.root, service)
            raise
        how = "up" if service.name in launches else "already up"
        say(f"{service.name:<9} {how}, {site.address(service.ports[0])}, pid {started.pid}")


def _begin(service: Service, launches: Mapping[str, Launch], site: Site) -> Process:
    if service.name in launches:
        return _start(service, launches[service.name], site)
    running = _running(site.root, service)
    if running is None:
        raise Failed(f"{service.name} was up and ended just now; say `up` again")
    return running


def _start(service: Service, launch: Launch, site: Site) -> Process:
    log = log_file(site.root, service.name)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    own = {name: site.ports[name] for name in service.ports}
    started = process.start(launch, site.folder(service.name), log, own)
    process.write(started, _record(site.root, service))
    return started


def _refuse_lost_secrets(root: Path) -> None:
    made = postgres.cluster_of(root / "postgres")
    if made.exists() and credentials.kept(root) is None:
        raise Failed(
            f"{credentials.credentials_file(root)} is gone, and {made} opens to the password in "
            f"it only; restore the file, or remove {made.parent} to begin anew"
        )


def _refuse_taken(absent: Sequence[Service], site: Site) -> None:
    taken = [
        f"{port} ({service.name}; {ports.variable(name)} moves it)"
        for service in absent
        for name in service.ports
        for port in ports.listened(name, site.ports[name])
        if not ports.is_free(port)
    ]
    if taken:
        raise Failed(
            f"port {', '.join(taken)} is taken by a program that this root did not start; nothing "
            "was started: end that program (`ss -ltnp` names it) or move the port"
        )


def down(root: Path, only: str | None, say: Say) -> None:
    """What `up` started below this root is gone, the last started first."""
    named = chosen(only)
    if not (root / "processes").is_dir():
        say(f"nothing was started below {root}")
        return
    with _alone(root):
        for service in reversed(named):
            running = _running(root, service)
            _forget(root, service)
            how = "was not up" if running is None else f"stopped, pid {running.pid}"
            say(f"{service.name:<9} {how}")


def status(root: Path, only: str | None) -> list[Condition]:
    """The condition of each chosen service, found by asking it."""
    found = credentials.kept(root)
    if found is None:
        return [Condition(service.name, "down", "-", None) for service in chosen(only)]
    return [_condition(service, _site(root, found)) for service in chosen(only)]


def _condition(service: Service, site: Site) -> Condition:
    running = _running(site.root, service)
    if running is None:
        return Condition(service.name, "down", "-", None)
    said = fault(service, site)
    found = "healthy" if said is None else f"not well: {said}"
    return Condition(service.name, found, site.address(service.ports[0]), running.pid)


def environment(root: Path) -> dict[str, str]:
    """What points the pipeline at the services that are up; Failed where none is."""
    found = credentials.kept(root)
    alive = {s.name for s in SERVICES if found is not None and _running(root, s) is not None}
    if found is None or not alive:
        raise Failed(f"no service of {root} is up; say `python -m services up` first")
    site = _site(root, found)
    endpoint = f"http://{site.address('s3')}"
    told = {
        "s3": {
            credentials.ACCESS: found.access_key,
            credentials.SECRET: found.secret_key,
            # else a token of the caller's own AWS session would be sent with our keys
            "AWS_SESSION_TOKEN": "",
            "AWS_ENDPOINT_URL_S3": endpoint,
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
        },
        "postgres": {"GENCO_FEAST_REGISTRY": postgres.url(site, "feast")},
        "redis": {"GENCO_REDIS": site.address("redis")},
        "mlflow": {"MLFLOW_TRACKING_URI": f"http://{site.address('mlflow')}"},
    }
    return {
        name: value for service in told if service in alive for name, value in told[service].items()
    }


def _site(root: Path, found: credentials.Credentials) -> Site:
    """The ports are those of what runs, else those of the environment."""
    where = ports.ports_from(os.environ)
    for service in SERVICES:
        running = _running(root, service)
        where |= running.ports if running is not None else {}
    return Site(root, where, found)


def _record(root: Path, service: Service) -> Path:
    return root / "processes" / f"{service.name}.json"


def _running(root: Path, service: Service) -> Process | None:
    recorded = process.read(_record(root, service))
    return recorded if recorded is not None and process.is_alive(recorded) else None


def _forget(root: Path, service: Service) -> None:
    """Stops what is recorded, and what it left behind where it is dead, and drops the record."""
    recorded = process.read(_record(root, service))
    if recorded is not None:
        process.stop(recorded, service.ends_on)
        _record(root, service).unlink()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Two people's `up` below one root go one after the other."""
    (root / "processes").mkdir(parents=True, exist_ok=True)
    with (root / "processes" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
