"""An MLflow server: versions in PostgreSQL, artifacts in the S3 server and through it only."""

import sys
import urllib.request

from components.errors import Failed
from services import credentials, postgres
from services.ports import LOOPBACK
from services.process import Launch
from services.service import Service, Site, plain_environment, private_folder

BUCKET = "mlflow"


def launch(site: Site) -> Launch:
    """One web worker and no job runner: with both, it would be a dozen processes and 2 GB."""
    _check_installed()
    folder = private_folder(site.folder("mlflow"))
    command = (sys.executable, "-m", "mlflow", "server", "--workers", "1")
    where = ("--host", LOOPBACK, "--port", str(site.ports["mlflow"]))
    stored = ("--artifacts-destination", f"s3://{BUCKET}")
    web = ("--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 5")
    return Launch((*command, *where, *stored, *web), plain_environment(folder, **_settings(site)))


def _settings(site: Site) -> dict[str, str]:
    # in the environment, not among the arguments, which every user of the machine can list
    return {
        "MLFLOW_BACKEND_STORE_URI": postgres.url(site, "mlflow"),
        "MLFLOW_S3_ENDPOINT_URL": f"http://{site.address('s3')}",
        credentials.ACCESS: site.credentials.access_key,
        credentials.SECRET: site.credentials.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # `genco notify --listen` is on this machine too
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    }


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("mlflow") is None:
        raise Failed(f"mlflow is not installed for {sys.executable}: make install")


def probe(site: Site) -> None:
    """Raises unless the first experiment is found, which asks PostgreSQL too."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = f"http://{site.address('mlflow')}/api/2.0/mlflow/experiments/get?experiment_id=0"
    with direct.open(asked, timeout=5) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{asked} was answered {answer.status}")


MLFLOW = Service("mlflow", ("mlflow",), launch, probe, needs=("postgres", "s3"))
