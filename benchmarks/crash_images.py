"""Power cuts by the hundred thousand: tests/test_journal_crash_images.py for any number of images.

    python -P benchmarks/crash_images.py --images 300000 [--seed WORD]

Prints one JSON line. A broken promise ends the run with exit code 1 and the image that shows it; the same seed repeats
it.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from power_cuts import BrokenPromiseError, Tally


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=100_000)
    options.add_argument("--seed", default=None, help="of the faults; drawn and printed where it is not given")
    given = options.parse_args()
    seed = given.seed or str(random.SystemRandom().randrange(2**32))
    began_s, broken = time.process_time(), None
    with tempfile.TemporaryDirectory() as scratch:
        tally = Tally(Path(scratch))
        try:
            while tally.images < given.images:
                for _ in tally.try_session(seed, tally.sessions):
                    pass
        except BrokenPromiseError as error:
            broken = str(error)
    found = {"seed": seed, "images": tally.images, "of_recoveries": tally.nested, "sessions": tally.sessions}
    cpu_s = time.process_time() - began_s
    print(
        json.dumps(found | {"cpu_s": round(cpu_s, 1), "images_a_cpu_s": round(tally.images / cpu_s), "broken": broken})
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
