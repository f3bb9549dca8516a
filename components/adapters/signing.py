"""The one door to ed25519: who signed a manifest, and whether we trust that key.

A signature is one line of JSON beside the manifest: algorithm, public key, signature over the
manifest's exact bytes (RFC 8032). It is read strictly: any other spelling of it is wrong. The
private key comes from GENCO_SIGNING_KEY (a PEM file's path, or its text); without one a key of
this work folder is made at first use, and the signature says so by not being a configured key.
Encrypted keys and key services are left out: hand the text over by a secret store.
"""

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.adapters.storage import Storage
from components.errors import Conflict, Failed, WrongUse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VARIABLE = "GENCO_SIGNING_KEY"
KEYS = "keys"
VERIFIED, LOCAL, WRONG, UNKNOWN, ABSENT = (
    "verified",
    "signed by a local key",
    "wrong",
    "by an unknown key",
    "absent",
)


def fingerprint(public: bytes) -> str:
    """Names a public key (32 raw bytes): the first 32 hex digits of its sha256."""
    return hashlib.sha256(public).hexdigest()[:32]


@dataclass(frozen=True)
class Signer:
    """A private key with the name of its public half."""

    key: "Ed25519PrivateKey"
    public: bytes

    def sign(self, content: bytes) -> bytes:
        """The signature file for these bytes; the same bytes and key give the same file."""
        return _spell(self.public, self.key.sign(content))

    def pem(self) -> bytes:
        """The public key, to be given to whoever shall trust it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Trust:
    """Fingerprints that were configured, and those that only this store speaks for."""

    configured: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()

    def judge(self, content: bytes, signature: bytes | None) -> str:
        """verified, signed by a local key, absent, wrong, or by an unknown key."""
        if signature is None:
            return ABSENT
        public = signer_of(content, signature)
        if public is None:
            return WRONG
        name = fingerprint(public)
        if name in self.configured:
            return VERIFIED
        return LOCAL if name in self.local else UNKNOWN


def signer_of(content: bytes, signature: bytes) -> bytes | None:
    """The public key that made this signature over these bytes, None where it did not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        told = json.loads(signature)
        public = base64.b64decode(told["public_key"], validate=True)
        made = base64.b64decode(told["signature"], validate=True)
        if _spell(public, made) != signature:
            return None
        Ed25519PublicKey.from_public_bytes(public).verify(made, content)
    except (InvalidSignature, ValueError, TypeError, KeyError):
        return None
    return public


def is_intact(content: bytes, signature: bytes | None) -> bool:
    """Whether an unsigned manifest or one whose own signature holds; says nothing of trust."""
    return signature is None or signer_of(content, signature) is not None


def _spell(public: bytes, made: bytes) -> bytes:
    told = {
        "algorithm": "ed25519",
        "public_key": base64.b64encode(public).decode(),
        "signature": base64.b64encode(made).decode(),
    }
    return (json.dumps(told, sort_keys=True) + "\n").encode()


def open_signer(storage: Storage, work: Path) -> Signer:
    """The configured key, else this work folder's own; its public half is in the store's keys/."""
    given, place = os.environ.get(VARIABLE), work / "signing.pem"
    signer = _given(given) if given else _read(_own(place), str(place))
    target = f"{KEYS}/{fingerprint(signer.public)}.pem"
    if not storage.exists(target):
        with contextlib.suppress(Conflict):  # published by another run with the same key
            storage.replace(target, signer.pem(), None)
    return signer


def open_trust(storage: Storage, trusted: Iterable[str]) -> Trust:
    """The configured public keys; only where none is, those that the store itself publishes."""
    configured = frozenset(fingerprint(public_key(text)) for text in trusted)
    if configured:
        return Trust(configured)
    published = [o.path for o in storage.listing(KEYS) if o.path.endswith(".pem")]
    local = {
        fingerprint(public_key(storage.read(path).decode(errors="replace"))) for path in published
    }
    given = os.environ.get(VARIABLE)
    mine = {fingerprint(_given(given).public)} if given else set[str]()
    return Trust(frozenset(mine), frozenset(local - mine))


def public_key(text: str) -> bytes:
    """The 32 raw bytes of a public key given as PEM, as base64, or as a file that holds either."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    told = text.strip()
    try:
        if "-----BEGIN" in told:
            key = load_pem_public_key(told.encode())
            if isinstance(key, Ed25519PublicKey):
                return key.public_bytes_raw()
        elif len(raw := base64.b64decode(told, validate=True)) == 32:
            return raw
    except ValueError:
        pass
    raise WrongUse(
        f"found {told[:40]!r}..., expected an ed25519 public key (PEM, or 32 bytes in base64) in "
        "registry.trusted_keys or the store's keys/; docs/keys.md says how to make one"
    )


def _given(given: str) -> Signer:
    return _read(given.encode() if "-----BEGIN" in given else _file(given), VARIABLE)


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Failed(
            f"{VARIABLE} names {path}, which cannot be read ({error.strerror}); give the path of "
            "a PEM private key, or its text"
        ) from error


def _read(pem: bytes, where: str) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise Failed(
            f"{where} holds no private key in PEM that can be read without a password; "
            "docs/keys.md says how to make one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Failed(f"{where} holds a {type(key).__name__}, expected an ed25519 key; docs/keys.md")
    return Signer(key, key.public_key().public_bytes_raw())


def _own(place: Path) -> bytes:
    """The work folder's own key, made once; only its owner can read it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".key-") as draft:  # mode 0600
            draft.write(pem)
            draft.flush()
            with contextlib.suppress(FileExistsError):  # another run was first: its key stands
                os.link(draft.name, place)
    return place.read_bytes()
