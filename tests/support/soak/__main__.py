"""``python -m tests.support.soak --minutes 10``"""

import argparse
import asyncio
import logging
import tempfile
from pathlib import Path

from tests.support.soak.run import require_every_fault, soak

parser = argparse.ArgumentParser()
parser.add_argument("--minutes", type=float, default=5)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--folder", type=Path, help="kept afterwards, with the logs of all processes")
given = parser.parse_args()
logging.basicConfig(level=logging.WARNING)
with tempfile.TemporaryDirectory() as temporary:
    folder = given.folder or Path(temporary)
    folder.mkdir(parents=True, exist_ok=True)
    report = asyncio.run(soak(folder, given.minutes * 60, given.seed))
    print(report)
    require_every_fault(report)
