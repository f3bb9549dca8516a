"""The one door to objects: the same calls on a local folder and on `s3://bucket/prefix`.

Writes are atomic (a reader sees the old object or the new one), `replace` is conditional (of
two writers one wins and the other gets `Conflict`), and every error of boto3 comes out as one
sentence. Credentials come from the environment alone, as boto3 reads them.
"""

import atexit
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from components.errors import Conflict, Failed, WrongUse

_WRITE = "genco-write"  # an object's metadata: which conditional write made it
_READS = 3  # of an object whose answer ends in its middle


@dataclass(frozen=True)
class Stored:
    """An object as listed: its path below the root, bytes, and an opaque version tag."""

    path: str
    size: int
    tag: str


class Storage(Protocol):
    """What a stage may ask of a location; paths are relative to it, with forward slashes.

    tags_tell: whether an object's tag changes whenever its bytes do.
    """

    root: str
    endpoint: str | None
    tags_tell: bool

    def listing(self, prefix: str) -> list[Stored]: ...
    def exists(self, path: str) -> bool: ...
    def read(self, path: str) -> bytes: ...
    def write(self, path: str, content: bytes) -> None: ...
    def replace(self, path: str, content: bytes, was: bytes | None) -> None: ...
    def fetch(self, path: str) -> Path: ...
    def upload(self, local: Path, path: str) -> None: ...
    def locate(self, path: str) -> str: ...


def open_storage(location: str, endpoint: str | None = None) -> Storage:
    """The storage behind a location; `endpoint` is the URL of an S3 server other than AWS."""
    if location.startswith("s3://"):
        return S3Storage(location, endpoint)
    if "://" in location:
        raise WrongUse(
            f"location {location!r} names an unknown scheme; expected s3://bucket/prefix or a path"
        )
    return LocalStorage(location)


def digest_of(local: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    try:
        with local.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Failed(f"cannot read {local}: {error.strerror}; give this user its rights") from error


class LocalStorage:
    """Objects as files below a folder; a file's tag is its time of change, which can be set back."""

    endpoint = None
    tags_tell = False

    def __init__(self, location: str) -> None:
        self.root = str(Path(location).expanduser().absolute())

    def _at(self, path: str) -> Path:
        return Path(self.root) / path

    def listing(self, prefix: str) -> list[Stored]:
        """Objects below `prefix`, by path; hidden and underscore-named files are skipped."""
        folder = self._at(prefix)
        for place in (Path(self.root), folder):
            if place.is_file():
                raise Failed(f"{place} is a file; expected a folder: move it away and run again")
        if not folder.is_dir():
            return []
        found = [f for f in folder.rglob("*") if not f.is_dir() and not _is_marker(f.name)]
        return sorted(
            (self._stored(f) for f in found),
            key=lambda stored: stored.path,
        )

    def _stored(self, file: Path) -> Stored:
        try:
            status = file.stat()
        except OSError as error:
            raise Failed(
                f"cannot read {file}: {error.strerror}; is it a link to nothing?"
            ) from error
        tag = f"{status.st_mtime_ns}-{status.st_size}"
        return Stored(file.relative_to(self.root).as_posix(), status.st_size, tag)

    def exists(self, path: str) -> bool:
        return self._at(path).is_file()

    def read(self, path: str) -> bytes:
        try:
            return self._at(path).read_bytes()
        except OSError as error:
            raise Failed(f"cannot read {self._at(path)}: {error.strerror}") from error

    def write(self, path: str, content: bytes) -> None:
        target, draft = self._at(path), None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as draft:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
            os.chmod(draft.name, 0o644)
            os.replace(draft.name, target)
        except OSError as error:
            if draft is not None:
                Path(draft.name).unlink(missing_ok=True)
            raise Failed(
                f"cannot write {target}: {error.strerror}; nothing was published, make room or "
                "fix the rights and run again"
            ) from error

    def replace(self, path: str, content: bytes, was: bytes | None) -> None:
        """The object is now `content`, if it still was `was` (None: absent); else Conflict."""
        with self._locked(path):
            now = self.read(path) if self.exists(path) else None
            if now != was:
                raise Conflict(_lost_race(self.locate(path)))
            self.write(path, content)

    @contextmanager
    def _locked(self, path: str) -> Iterator[None]:
        lock = self._at(path).with_name("." + Path(path).name + ".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def fetch(self, path: str) -> Path:
        """A local file with the object's bytes; do not write to it."""
        local = self._at(path)
        if not local.is_file():
            raise Failed(f"{local} is not there")
        return local

    def upload(self, local: Path, path: str) -> None:
        self.write(path, local.read_bytes())

    def locate(self, path: str) -> str:
        return str(self._at(path))


@cache
def _interfaces() -> Any:
    """boto3's own descriptions of S3, megabytes of JSON that a process needs to read but once."""
    from botocore.session import Session

    return Session().get_component("data_loader")


class S3Storage:
    """Objects of an S3 bucket below a prefix; downloads are kept by version tag for the process."""

    tags_tell = True

    def __init__(self, location: str, endpoint: str | None = None) -> None:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self.root = location.rstrip("/")
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self.endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3")
        self._client = self._connect()

    def _connect(self) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        retries = {"max_attempts": 5, "mode": "standard"}
        settings = Config(retries=retries, connect_timeout=5, read_timeout=60)  # type: ignore[arg-type]
        region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        core = Session()  # boto3's default session keeps the first credentials it saw
        session = boto3.session.Session(botocore_session=core)
        core.register_component("data_loader", _interfaces())
        return session.client("s3", endpoint_url=self.endpoint, config=settings, region_name=region)

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    @contextmanager
    def _speaking(self, action: str, path: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise _s3_error(error, f"{action} {self.locate(path)}", self.endpoint) from error

    def listing(self, prefix: str) -> list[Stored]:
        """Objects below `prefix`, by path; hidden and underscore-named objects are skipped."""
        cut = len(self._prefix) + 1 if self._prefix else 0
        found: list[Stored] = []
        with self._speaking("list", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(
                Bucket=self._bucket, Prefix=self._key(prefix).strip("/") + "/"
            ):
                for item in page.get("Contents", []):
                    path = item["Key"][cut:]
                    if not _is_marker(path.rsplit("/", 1)[-1]):
                        found.append(Stored(path, item["Size"], item["ETag"].strip('"')))
        return sorted(found, key=lambda stored: stored.path)

    def exists(self, path: str) -> bool:
        return self._head(path) is not None

    def _head(self, path: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        with self._speaking("look up", path):
            try:
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key(path))
            except ClientError as error:
                if error.response["Error"]["Code"] in {"404", "NoSuchKey", "NotFound"}:
                    return None
                raise
            return answer

    def read(self, path: str) -> bytes:
        from botocore.exceptions import IncompleteReadError, ResponseStreamingError

        with self._speaking("read", path):
            for _ in range(_READS - 1):  # boto3 retries until the answer begins, not its body
                with suppress(IncompleteReadError, ResponseStreamingError):
                    return self._read_once(path)
            return self._read_once(path)

    def _read_once(self, path: str) -> bytes:
        return self._client.get_object(Bucket=self._bucket, Key=self._key(path))["Body"].read()

    def write(self, path: str, content: bytes) -> None:
        with self._speaking("write", path):
            self._client.put_object(Bucket=self._bucket, Key=self._key(path), Body=content)

    def replace(self, path: str, content: bytes, was: bytes | None) -> None:
        """The object is now `content`, if it still was `was` (None: absent); else Conflict.

        Where the answer of a write was lost, boto3 writes again and its own object refuses it:
        the object's metadata says whether it is this very write.
        """
        from botocore.exceptions import ClientError

        write = secrets.token_hex(16)
        condition = {"IfNoneMatch": "*"} if was is None else {"IfMatch": self._tag_of(path, was)}
        with self._speaking("replace", path):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(path),
                    Body=content,
                    Metadata={_WRITE: write},
                    **condition,
                )
            except ClientError as error:
                codes = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
                if error.response["Error"]["Code"] not in codes:
                    raise
                stands = self._head(path)
                if stands is None or stands["Metadata"].get(_WRITE) != write:
                    raise Conflict(_lost_race(self.locate(path))) from error

    def _tag_of(self, path: str, was: bytes) -> str:
        stands = self._head(path)
        if stands is None or self.read(path) != was:
            raise Conflict(_lost_race(self.locate(path)))
        return stands["ETag"]

    def fetch(self, path: str) -> Path:
        """A local file with the object's bytes; do not write to it."""
        stands = self._head(path) or {}
        told = f"{self.endpoint} {self.locate(path)} {stands.get('ETag')}"
        tag = hashlib.sha256(told.encode()).hexdigest()[:24]
        local = _spool() / tag / path.rsplit("/", 1)[-1]
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            draft = local.with_name(f".{local.name}.part")
            with self._speaking("download", path):
                self._client.download_file(self._bucket, self._key(path), str(draft))
            draft.replace(local)
        return local

    def upload(self, local: Path, path: str) -> None:
        with self._speaking("upload", path):
            self._client.upload_file(str(local), self._bucket, self._key(path))

    def locate(self, path: str) -> str:
        return f"{self.root}/{path}"


@cache
def _spool() -> Path:
    """Where this process keeps downloads; removed when it ends."""
    folder = tempfile.mkdtemp(prefix="genco-spool-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _is_marker(name: str) -> bool:
    return name.startswith((".", "_"))


def _lost_race(where: str) -> str:
    return (
        f"{where} was written by another run while this one worked; theirs stands and this "
        "attempt published nothing: run again to build on theirs"
    )


_REASONS = {
    "NoSuchBucket": "the bucket does not exist; create it or correct the location in the config",
    "InvalidAccessKeyId": "the access key is unknown to the server; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret is wrong; check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "access is denied; check the credentials and the bucket's policy",
    "403": "access is denied; check the credentials and the bucket's policy",
    "NoSuchKey": "the object does not exist",
    "404": "the bucket or object does not exist; check the location in the config",
}


def _s3_error(error: Exception, action: str, endpoint: str | None) -> Failed:
    at = f" at {endpoint}" if endpoint else ""
    answer = getattr(error, "response", None) or getattr(error.__context__, "response", None)
    if not isinstance(answer, dict):
        kind = type(error).__name__
        hints = {
            "NoCredentialsError": "no credentials found; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY",
            "EndpointConnectionError": "the server cannot be reached; is it up (make up), and is "
            "AWS_ENDPOINT_URL_S3 right?",
        }
        return Failed(f"cannot {action}{at}: {hints.get(kind, f'{kind}: {error}')}")
    code = answer["Error"]["Code"]
    reason = _REASONS.get(code, f"the server answered {code}: {answer['Error'].get('Message', '')}")
    return Failed(f"cannot {action}{at}: {reason}")
