"""A config whose cluster is the stand-in API server, beside a declared schedules file."""

from pathlib import Path

from kfp_api import Kfp

IMAGE = f"genco@sha256:{'a' * 64}"
CONFIG = """\
name: small
logs: s3://ads/logs
catalog: s3://ads/catalog
store: s3://ads/genco
endpoint_url: http://127.0.0.1:9
slots: [title, image]
holdout: {{days: 1}}
registry: {{tracking_uri: "http://127.0.0.1:9"}}
cluster: {{host: "{host}", image: "{image}", poll_s: 0.01, timeout_s: 2, {more}}}
"""
DAILY = {"name": "daily", "cron": "0 30 3 * * *"}
LATE = {"name": "late", "cron": "0 30 12 * * MON", "day": "today"}


def write_config(root: Path, server: Kfp | None, more: str = "", image: str = IMAGE) -> Path:
    file = root / "small.yaml"
    host = server.host if server else "http://127.0.0.1:9"
    file.write_text(CONFIG.format(host=host, image=image, more=more))
    return file


def write_schedules(root: Path, *schedules: dict) -> Path:
    import json

    file = root / "schedules.yaml"
    file.write_text(json.dumps({"config": "small.yaml", "schedules": schedules}))
    return file
