"""`sclc models`."""

from __future__ import annotations

import json

from sclc_jax.commands.common import Add
from sclc_jax.commands.streams import tell


def register(add: Add) -> None:
  """Adds the command to the command line."""
  models = add("models", _models, "the models, or one in full")
  models.add_argument("model", nargs="?", help="name, or .sclcm file")
  models.add_argument("--json", action="store_true", help="as JSON")


def _models(args) -> None:
  from sclc_jax.codec.model.shipped import known_models

  if args.model:
    facts = _facts(args.model)
    tell(json.dumps(facts) if args.json else _in_full(facts))
    return
  models = [_facts(name) for name in known_models()]
  if args.json:
    tell(json.dumps(models))
    return
  for facts in models:
    tell(_in_a_line(facts))


def _facts(name: str) -> dict:
  """What is known of a model: of its file, and its card where it is shipped."""
  from sclc_jax.codec.model.shipped import (
    DEFAULT_MODEL,
    find_file,
    read_card,
    read_facts,
    shipped_models,
  )

  return {
    "name": name,
    "default": name == DEFAULT_MODEL,
    **read_facts(find_file(name)),
    **(read_card(name) if name in shipped_models() else {}),
  }


def _in_a_line(facts: dict) -> str:
  """When to use a model; how good, costly and large it is."""
  default = " (default)" if facts["default"] else ""
  parts = [facts.get("use", "your own")]
  rate = facts.get("bd_rate_percent", {}).get("jpeg")
  if rate is not None:
    metric = "MS-SSIM" if "MS-SSIM" in facts["jpeg"] else "PSNR"
    more = "more" if rate > 0 else "fewer"
    parts.append(f"{abs(rate)} % {more} bytes than JPEG at equal {metric}")
  if "kmac_per_pixel" in facts:
    costs = facts["kmac_per_pixel"]
    parts.append(
      f"{costs['encode']:.0f} and {costs['decode']:.0f} kMAC a pixel to encode "
      "and decode"
    )
  parts.append(f"{facts['bytes'] / 1e6:.1f} MB")
  return f"{facts['name']}{default}: {'; '.join(parts)}"


def _in_full(facts: dict) -> str:
  """A line a fact; then a table of the curve, and the runs."""
  apart = {"curve", "provenance", "default", "jpeg", "bd_rate_percent",
           "kmac_per_pixel"}  # fmt: skip
  lines = [
    f"{key}: {', '.join(value) if isinstance(value, list) else value}"
    for key, value in facts.items()
    if key not in apart
  ]
  for way, kmac in facts.get("kmac_per_pixel", {}).items():
    lines.append(f"kMAC a pixel to {way}: {kmac:g}")
  for other, rate in facts.get("bd_rate_percent", {}).items():
    kind = f" ({facts['jpeg']})" if other == "jpeg" else ""
    lines.append(f"BD-rate against {other}: {rate:+.1f} %{kind}")
  if "curve" in facts:
    curve = facts["curve"]
    lines += [f"curve: {curve['images']}", "  " + "\t".join(curve["columns"])]
    lines += [
      "  " + "\t".join("-" if v is None else f"{v:g}" for v in row)
      for row in curve["rows"]
    ]
  for number, run in enumerate(facts.get("provenance", ()), start=1):
    lines += [f"run {number}:", *_run_lines(run)]
  return "\n".join(lines)


def _run_lines(run: dict) -> list[str]:
  from flax.traverse_util import flatten_dict

  lines = []
  for key, value in run.items():
    if key == "log" and isinstance(value, dict):
      first, last = value["rows"][0], value["rows"][-1]
      for word, row in (("first", first), ("last", last)):
        pairs = [f"{k}={v}" for k, v in zip(value["columns"], row)]
        lines.append(f"  log, {word}: {' '.join(pairs)}")
      continue
    if isinstance(value, dict):
      flat = flatten_dict(value, sep=".")
      value = " ".join(f"{name}={part}" for name, part in flat.items())
    lines.append(f"  {key}: {value}")
  return lines
