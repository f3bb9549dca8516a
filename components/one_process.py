"""One of the processes that together.py starts: `torchrun ... -m components.one_process FILE`.

FILE holds the stage, its settings and the day's place. An expected failure is left beside it.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from components.day import Day
from components.errors import GencoError
from components.together import write_failure


def main(file: Path) -> int:
    """Exit code, as that of the stage alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # when torchrun is gone
    from components.train_generator import stage as train_generator
    from components.train_reward import stage as train_reward

    asked = json.loads(file.read_text())
    chosen = {one.NAME: one for one in (train_reward, train_generator)}[asked["stage"]]
    day = Day.model_validate(asked["day"])
    settings = chosen.Settings.model_validate_json(json.dumps(asked["settings"]))
    try:
        chosen.run(day, settings)
    except GencoError as error:
        write_failure(error, file.with_name(f"failed-{os.environ.get('RANK', '0')}.json"))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
