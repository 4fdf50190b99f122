"""Selective compression learning (SCR, NeurIPS 2022) in JAX/Flax.

One model covers every bit rate; see README.md for the command line.
"""

import os

# NumPy's idle BLAS threads spin for 2 ** 26 cycles, beside the synthesis that
# follows the control path: a fifth of a small model's decoding. Counts only
# where NumPy is imported later.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")

__version__ = "0.1.0"


def load_codec(path_or_name: str | None = None, **options):
  """Opens a codec; see `sclc_jax.codec.codec.load_codec`."""
  from sclc_jax.codec.codec import load_codec as _load_codec

  return _load_codec(path_or_name, **options)
