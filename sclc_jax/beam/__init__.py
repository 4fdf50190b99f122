"""Pipelines of Apache Beam, for more pictures than one machine takes.

running.py     runs a pipeline, on this machine or elsewhere
prepare.py     a training set from picture files (`sclc data`)
transforms.py  compresses and evaluates pictures: for pipelines of your own

Needs the extra `beam`; nothing else in the package imports it.
"""

import logging
import warnings

# Beam and Google's packages warn of what is neither used nor ours to change.
logging.disable(logging.WARNING)
with warnings.catch_warnings():
  warnings.simplefilter("ignore", FutureWarning)
  import apache_beam  # noqa: F401
logging.disable(logging.NOTSET)
