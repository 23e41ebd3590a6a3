"""Train one Config and score it. Knows nothing of Ray, MLflow, spaces, search or reports."""

import getpass
import os
import sys
from pathlib import Path

from trainers.namesakes import Ours

sys.meta_path.insert(0, Ours)
try:
    getpass.getuser()
except (KeyError, OSError):  # a user without a name, as containers have; torch asks for one
    os.environ["LOGNAME"] = f"user-{os.getuid()}"
try:
    Path.home()
except RuntimeError:  # nor a home: as containers have it, since MLflow wants one
    os.environ["HOME"] = "/"
