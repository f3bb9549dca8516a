"""The image that every step runs in; its digest is pinned when the pipeline is compiled."""

import os

IMAGE = os.environ.get("GENCO_IMAGE", "genco:local")
