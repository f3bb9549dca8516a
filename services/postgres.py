"""PostgreSQL for MLflow and for Feast's registry: loopback only, a password, no socket file.

It refuses to run as root, so root runs it as Debian's user postgres.
"""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from components.errors import Failed
from services.ports import LOOPBACK
from services.process import Launch, as_user
from services.service import Service, Site, plain_environment

USER = "genco"
DATABASES = ("mlflow", "feast")
_NEXT = "apt-get install postgresql"


def url(site: Site, database: str) -> str:
    """Where SQLAlchemy finds a database; holds the password."""
    who = f"{USER}:{site.credentials.database_password}"
    return f"postgresql+psycopg://{who}@{site.address('postgres')}/{database}"


def cluster_of(folder: Path) -> Path:
    """The data folder in the service's folder."""
    return folder / "cluster"


def launch(site: Site) -> Launch:
    """The server on its data folder, which is made with both databases at the first start."""
    program, user = _binary("postgres"), _runs_as()
    folder = _folder(site.folder("postgres"), user)
    cluster = cluster_of(folder)
    if not cluster.exists():
        _make_cluster(cluster, site.credentials.database_password, user)
    _drop_stale_lock(cluster)
    settings = {
        "port": str(site.ports["postgres"]),
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "shared_buffers": "64MB",
        "max_connections": "60",
        "max_wal_size": "256MB",
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Launch((program, "-D", str(cluster), *options), plain_environment(folder), user)


def _binary(name: str) -> str:
    folders = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    newest = sorted(folders, key=lambda folder: float(folder.parent.name), reverse=True)
    search = os.pathsep.join([*map(str, newest), os.environ.get("PATH", "")])
    found = shutil.which(name, path=search)
    if found is None:
        raise Failed(
            f"{name} (PostgreSQL) is not installed, expected it below /usr/lib/postgresql/*/bin "
            f"or on PATH: {_NEXT}"
        )
    return found


def _runs_as() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise Failed(
            f"PostgreSQL does not run as root and there is no user postgres: {_NEXT}"
        ) from error


def _folder(folder: Path, user: str | None) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user, user)
        for parent in reversed(folder.parents):
            mode = parent.stat().st_mode & 0o777
            if not mode & 0o001:
                raise Failed(
                    f"user {user} cannot pass {parent} (mode {mode:o}), expected x for others all "
                    f"the way to {folder}: chmod o+x {parent}, or give another --root"
                )
    return folder


def _make_cluster(cluster: Path, password: str, user: str | None) -> None:
    """The data folder appears whole: made beside its place, with its databases, then renamed."""
    draft = cluster.with_name("cluster.draft")
    shutil.rmtree(draft, ignore_errors=True)
    secret = cluster.with_name("password")
    secret.unlink(missing_ok=True)
    with os.fdopen(os.open(secret, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
        stream.write(password)
    try:
        if user is not None:
            shutil.chown(secret, user, user)
        authentic = (f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={secret}")
        _do(
            (_binary("initdb"), f"--pgdata={draft}", *authentic, "--encoding=UTF8", "--locale=C"),
            user,
            cluster.parent,
        )
    finally:
        secret.unlink()
    statements = "".join(f"CREATE DATABASE {name};\n" for name in DATABASES)
    _do(
        (_binary("postgres"), "--single", "-D", str(draft), "postgres"),
        user,
        cluster.parent,
        statements,
    )
    draft.rename(cluster)


def _do(arguments: tuple[str, ...], user: str | None, folder: Path, text: str = "") -> None:
    done = subprocess.run(
        arguments,
        input=text,
        cwd=folder,
        env=plain_environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **as_user(user),
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise Failed(
            f"{Path(arguments[0]).name} could not make {folder}: {said}; "
            "mend that and say `up` again"
        )


def _drop_stale_lock(cluster: Path) -> None:
    """Removes the lock of a server that is gone, whose pid may by now be somebody else's."""
    lock = cluster / "postmaster.pid"
    if not lock.exists():
        return
    holder = lock.read_text().split("\n", 1)[0]
    try:
        held = os.readlink(f"/proc/{int(holder)}/cwd") == str(cluster)
    except (OSError, ValueError):
        held = False
    if not held:
        lock.unlink()


def probe(site: Site) -> None:
    """Raises unless every database answers."""
    import psycopg

    secret = site.credentials.database_password
    for database in DATABASES:
        with psycopg.connect(
            host=LOOPBACK,
            port=site.ports["postgres"],
            dbname=database,
            user=USER,
            password=secret,
            connect_timeout=3,
        ) as connection:
            connection.execute("select 1")


# SIGINT is its fast shutdown: open sessions are rolled back and nothing needs recovery
POSTGRES = Service("postgres", ("postgres",), launch, probe, ends_on=signal.SIGINT)
