"""`sclc info`."""

from __future__ import annotations

import json

from sclc_jax.commands import streams
from sclc_jax.commands.checks import input_file
from sclc_jax.commands.common import Add, coding_flags
from sclc_jax.files import read_whole


def register(add: Add) -> None:
  """Adds the command to the command line."""
  info = add("info", _info, "what an .sclc file holds", _check_info)
  coding_flags(info)
  info.add_argument("file", help="an .sclc file; - is stdin")
  info.add_argument("--json", action="store_true", help="as JSON")


def _check_info(args) -> None:
  if args.file != "-":
    input_file("input", args.file)


def _info(args) -> None:
  from sclc_jax.codec.stream import bitstream

  data = streams.read_stdin() if args.file == "-" else read_whole(args.file)
  fingerprint = bitstream.unpack(data).fingerprint
  info = bitstream.describe(data)

  from sclc_jax.codec.codec import Codec
  from sclc_jax.codec.model.model_file import find_model, find_shipped

  if args.model:
    named = args.model, find_model(args.model)
  else:
    named = find_shipped(fingerprint)
  if named and named[1].fingerprint == fingerprint:
    info = Codec(named[1], args.engine, args.max_pixels).info(data)
    info["model_name"] = named[0]
  if args.json:
    streams.tell(json.dumps(info))
    return
  for key, value in info.items():
    text = f"{value:.4g}" if isinstance(value, float) else value
    streams.tell(f"{key}: {streams.shown(text)}")
