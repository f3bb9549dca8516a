"""The image that every step runs in; its digest is pinned when the pipeline is compiled."""

import os
import re

from components.errors import WrongUse

IMAGE = os.environ.get("GENCO_IMAGE", "genco:local")


def check_pinned(image: str) -> str:
    """The image itself, or WrongUse where it has no digest: a tag can come to mean other code."""
    if re.search(r"@sha256:[0-9a-f]{64}$", image) is None:
        raise WrongUse(
            f"the image {image!r} has no digest; expected NAME@sha256:<64 hex digits> in "
            "GENCO_IMAGE, as `make image` prints it"
        )
    return image
