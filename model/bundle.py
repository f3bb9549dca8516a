"""One model version as data: safetensors, Parquet and JSON, never code (CONTRACT 4).

A draft holds the models; `seal` adds the manifest, after which every byte is accounted for and
`load_bundle` refuses a file that changed, is missing or was not listed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file

from model.arrow import compute as pc
from model.combinations import Rules
from model.elements import Elements
from model.generator.policy import Generator
from model.reward.fit import Reward
from model.serving import Mixture, ServingPolicy

CONTRACT_VERSION = 1
MODEL_FILES = (
    "config.json",
    "elements.parquet",
    "reward.safetensors",
    "generator.safetensors",
    "combinations.parquet",
    "forbidden.parquet",
)
SIGNATURE = "signature"
Intact = Callable[[bytes, bytes | None], bool]  # (manifest, signature or None) -> it may be read
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib")


class BadBundle(ValueError):
    """A folder that is not a whole, unchanged bundle; the sentence says which file and why."""


@dataclass(frozen=True)
class Bundle:
    """A version's models with what they speak of.

    `elements` are the candidates as of the bundle's day; `known` adds those that were retired
    inside the window, so that old bags can be scored.
    """

    config: dict[str, Any]
    reward: Reward
    generator: Generator | None
    known: Elements
    elements: Elements
    rules: Rules

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(self.config["slots"])

    @property
    def context(self) -> dict[str, str]:
        return dict(self.config["context"])

    def policy(self, elements: Elements | None = None, rules: Rules | None = None) -> ServingPolicy:
        """The published policy of CONTRACT 5 over these elements (default: the candidates)."""
        return ServingPolicy(
            self.reward,
            self.generator,
            self.elements if elements is None else elements,
            self.rules if rules is None else rules,
            Mixture(**self.config["mixture"]),
            self.context,
        )


def save_draft(
    folder: Path,
    reward: Reward,
    generator: Generator | None,
    elements: pa.Table,
    rules: Rules,
    config: Mapping[str, Any],
) -> None:
    """Writes the model's files; the same values give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, reward_config = reward.state()
    save_file(tensors, folder / "reward.safetensors")
    described: dict[str, Any] = {**config, "contract": CONTRACT_VERSION, "reward": reward_config}
    if generator is not None:
        tensors, described["generator"] = generator.state()
        save_file(tensors, folder / "generator.safetensors")
    pq.write_table(elements, folder / "elements.parquet", compression="zstd")
    combinations, forbidden = rules.tables()
    pq.write_table(combinations, folder / "combinations.parquet", compression="zstd")
    pq.write_table(forbidden, folder / "forbidden.parquet", compression="zstd")
    (folder / "config.json").write_bytes(_json(described))


def seal(folder: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest, written last: provenance and the sha256 of every other file."""
    outside = ("manifest.json", SIGNATURE)
    files = {f.name: _digest(f) for f in sorted(folder.iterdir()) if f.name not in outside}
    manifest = {**provenance, "files": files}
    (folder / "manifest.json").write_bytes(_json(manifest))
    return manifest


def verify(folder: Path, intact: Intact | None = None) -> dict[str, Any]:
    """The manifest of a whole and unchanged bundle, or BadBundle naming the file at fault.

    `intact` is asked about the signature over the manifest's bytes; None asks nobody.
    """
    target = folder / "manifest.json"
    if not target.is_file():
        raise BadBundle(f"{folder} holds no manifest.json; expected a sealed bundle (CONTRACT 4)")
    for file in folder.iterdir():
        if file.suffix in _PICKLES:
            raise BadBundle(
                f"{file} may hold pickled code and was not opened; a bundle is safetensors, "
                "Parquet and JSON only: remove it and take the bundle from the store again"
            )
    content, signature = target.read_bytes(), folder / SIGNATURE
    if intact is not None and not intact(
        content, signature.read_bytes() if signature.is_file() else None
    ):
        raise BadBundle(
            f"the signature of {target} is wrong: the manifest or the signature was changed after "
            "sealing; take the bundle from the store again"
        )
    manifest = _manifest(target, content)
    present = {file.name for file in folder.iterdir()} - {"manifest.json", SIGNATURE}
    listed = set(manifest["files"])
    if present != listed:
        raise BadBundle(
            f"{folder} holds {sorted(present)}, its manifest lists {sorted(listed)}; take the "
            "bundle from the store again"
        )
    for name, expected in manifest["files"].items():
        if _digest(folder / name) != expected:
            raise BadBundle(
                f"{folder / name} is not the file that was sealed (sha256 expected "
                f"{expected[:12]}...); take the bundle from the store again"
            )
    return manifest


def _manifest(file: Path, content: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
        if isinstance(manifest["files"], dict):
            return manifest
    except (ValueError, KeyError, TypeError):
        pass
    raise BadBundle(f"{file} is not a bundle's manifest; take the bundle from the store again")


def load_bundle(folder: Path, sealed: bool = True, intact: Intact | None = None) -> Bundle:
    """The version in a folder, verified first unless it is a draft; `intact` as in `verify`."""
    if sealed:
        verify(folder, intact)
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise BadBundle(f"{folder}/config.json cannot be read: {error}") from error
    slots = tuple(config["slots"])
    names = tuple(config["feature_service"]["names"])
    table = pq.read_table(folder / "elements.parquet")
    try:
        reward = Reward.from_state(load_file(folder / "reward.safetensors"), config["reward"])
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise BadBundle(
            f"the reward model in {folder} cannot be read: {error}; was it written by a newer "
            "version? Read it with that one, or train again"
        ) from error
    generator = None
    if "generator" in config:
        tensors = load_file(folder / "generator.safetensors")
        generator = Generator.from_state(tensors, config["generator"])
    rules = Rules.from_tables(
        pq.read_table(folder / "combinations.parquet"),
        pq.read_table(folder / "forbidden.parquet"),
        frozenset(config["optional_slots"]),
    )
    return Bundle(
        config=config,
        reward=reward,
        generator=generator,
        known=Elements.from_table(table, slots, names),
        elements=Elements.from_table(table.filter(pc.field("current")), slots, names),
        rules=rules,
    )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()
