"""`sclc info`."""

from __future__ import annotations

import json
import pathlib

from sclc_jax.commands.common import Add, coding_flags


def register(add: Add) -> None:
  """Adds the command to the command line."""
  info = add("info", _info, "what an .sclc file holds")
  coding_flags(info)
  info.add_argument("file")
  info.add_argument("--json", action="store_true", help="as JSON")


def _info(args) -> None:
  from sclc_jax.codec.codec import Codec
  from sclc_jax.codec.model.model_file import find_model, find_shipped
  from sclc_jax.codec.stream import bitstream

  data = pathlib.Path(args.file).read_bytes()
  fingerprint = bitstream.unpack(data).fingerprint
  info = bitstream.describe(data)
  if args.model:
    found = args.model, find_model(args.model)
  else:
    found = find_shipped(fingerprint)
  if found and found[1].fingerprint == fingerprint:
    info = Codec(found[1], args.engine, args.max_pixels).info(data)
    info["model_name"] = found[0]
  if args.json:
    print(json.dumps(info))
    return
  for key, value in info.items():
    print(f"{key}: {value}")
