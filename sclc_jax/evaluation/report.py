"""The evaluation report: a folder with report.md, figures and tables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from sclc_jax.buckets import Path, to_path
from sclc_jax.codec.codec import Codec
from sclc_jax.cpus import cpu_count
from sclc_jax.evaluation import complexity, curves, explain, plots
from sclc_jax.evaluation.curves import METRICS, Curve
from sclc_jax.evaluation.measure import Evaluation, write_csv
from sclc_jax.evaluation.peers import peer_means
from sclc_jax.files import write_whole
from sclc_jax.images import load_image
from sclc_jax.metrics import ms_ssim_db

# A BD-rate is put in brackets where the curves share less than this.
_FAIR_SHARE = 0.5
_RISING = ("bpp", "psnr_db", "selected_fraction")


@dataclasses.dataclass(frozen=True)
class System:
  """A model under evaluation, and what was measured of it."""

  name: str
  codec: Codec
  evaluation: Evaluation

  @property
  def means(self) -> list[dict]:
    """The means, from low to high quality."""
    return self.evaluation.rising

  @property
  def curve(self) -> Curve:
    """The curve of the means."""
    return self.evaluation.curve


def rising_steps(
  evaluation: Evaluation,
) -> dict[str, tuple[int, int, int, int]]:
  """How many steps from a quality to the next raise a value.

  Returns:
    For bpp, psnr_db and selected_fraction: rising and all steps of the mean,
    rising and all steps of the single images. A fraction of 1 that stays 1
    counts as rising.
  """
  images: dict[str, list[dict]] = {}
  for row in sorted(evaluation.rows, key=lambda row: row["quality"]):
    images.setdefault(row["image"], []).append(row)

  def count(groups, key: str) -> tuple[int, int]:
    full = 1.0 if key == "selected_fraction" else np.inf
    rising = steps = 0
    for group in groups:
      values = np.array([row[key] for row in group])
      low, high = values[:-1], values[1:]
      rising += int(((high > low) | ((high == full) & (low == full))).sum())
      steps += len(low)
    return rising, steps

  return {
    key: (*count([evaluation.rising], key), *count(images.values(), key))
    for key in _RISING
  }


def unevenness(evaluation: Evaluation) -> float:
  """Largest slope of log-bpp over the quality, relative to the median one.

  Of the means; a smooth curve has no step that stands out.
  """
  quality, bpp = (
    np.array([mean[key] for mean in evaluation.rising])
    for key in ("quality", "bpp")
  )
  slopes = np.diff(np.log(bpp)) / np.diff(quality)
  return float(slopes.max() / np.median(slopes))


def rising_line(evaluation: Evaluation) -> str:
  """`rising_steps` and `unevenness` as one line."""
  measured = rising_steps(evaluation)
  parts = [
    f"{key} {mean}/{steps} (single images {single}/{all_})"
    for key, (mean, steps, single, all_) in measured.items()
  ]
  of_mean = all(a == b for a, b, _, _ in measured.values())
  of_each = all(c == d for _, _, c, d in measured.values())
  return (
    f"rises with quality: means {'yes' if of_mean else 'no'}, "
    f"single images {'yes' if of_each else 'no'}; steps that rise: "
    f"{', '.join(parts)}; the largest step of log-bpp is "
    f"{unevenness(evaluation):.2f} times the median one"
  )


def selection_saves(system: System, other: System) -> float | None:
  """BD-rate in percent of a model with selection against one without.

  None where not exactly one of the two selects.
  """
  selects = [s.codec.model.config.selective for s in (system, other)]
  if selects == [True, False]:
    return curves.bd_rate(other.curve, system.curve, "psnr_db")
  if selects == [False, True]:
    return curves.bd_rate(system.curve, other.curve, "psnr_db")
  return None


def write_report(
  out: str | os.PathLike,
  command: str,
  systems: Sequence[System],
  peer_rows: list[dict],
  others: dict[str, Curve],
  left_out: Sequence[str],
  paths: Sequence[Path],
  versions: str,
) -> list[Path]:
  """Writes the report.

  Args:
    out: an existing folder; peers.csv in it is the caller's.
    command: what made it, for the reader.
    systems: the model, and those that it is compared with.
    peer_rows: as from `measure_peers`.
    others: peers' and published curves by name.
    left_out: a sentence for each peer that could not be measured.
    paths: of the images; the first is shown.
    versions: of the libraries, one a line.

  Returns:
    The files written.
  """
  out = to_path(out)
  curves = {s.name: s.curve for s in systems} | others
  files = _write_figures(out, systems, curves, paths[0])
  plotted = [path.name for path in files if path.name.startswith("rd_")]
  parts = [
    "# Evaluation",
    _head(command, systems, paths, versions),
    *_quality_section(systems, plotted),
    "## BD-rate",
    _bd_section(systems[0], curves),
    *_selection_section(systems),
    "## PSNR at the same rate",
    _gain_section(systems[0], peer_rows, others),
    *_cost_section(systems),
    "## Time",
    _time_section(systems, peer_rows),
    *left_out,
    *_steps_section(systems),
  ]
  page = out / "report.md"
  text = "\n\n".join(parts)
  write_whole(page, f"{text}\n".encode(errors="surrogateescape"))
  return [*files, page]


def _write_figures(
  out: Path,
  systems: Sequence[System],
  curves: dict[str, Curve],
  first: Path,
) -> list[Path]:
  """Plots, and what they show as CSV; the masks are of the `first` image."""
  files: list[Path] = []

  def add(name: str, write: Callable, *args) -> None:
    write(*args, out / name)
    files.append(out / name)

  ours = systems[0]
  for system in systems:
    add(f"rows_{system.name}.csv", system.evaluation.write_csv)
  add("curves.csv", _write_curves, curves)
  for key, metric in METRICS.items():
    shown = {name: c.points(key) for name, c in curves.items()}
    shown = {name: points for name, points in shown.items() if points}
    if ours.name not in shown:
      continue
    add(f"rd_{key}.png", plots.plot_rd, shown, metric.label)
    matrix = _bd_matrix(list(shown), curves, key)
    title = f"BD-rate ({metric.short}): row against column"
    add(f"bd_rate_{key}.csv", _write_matrix, list(shown), matrix)
    add(f"bd_rate_{key}.png", plots.plot_matrix, list(shown), matrix, title)
  means = [(s.name, s.means) for s in systems]
  add("continuous.png", plots.plot_continuous, means)
  image = load_image(first, ours.codec.max_pixels)
  levels = explain.levels(ours.codec, ours.codec.analyse(image))
  add("masks.png", plots.plot_levels, image, first.stem, levels)
  return files


def _quality_section(
  systems: Sequence[System], figures: Sequence[str]
) -> list[str]:
  return [
    "## Rate and distortion",
    *[f"![rate-distortion curves]({name})" for name in figures],
    *[part for s in systems for part in (f"### {s.name}", _table(s))],
    *[_pictures(s) for s in systems],
  ]


def _cost_section(systems: Sequence[System]) -> list[str]:
  return [
    "## Where the bytes go",
    "Mean bytes of a file by its parts, and their share of it.",
    *[part for s in systems for part in (f"### {s.name}", _bytes(s))],
    "## Size and cost of the parts",
    "Thousands of multiply-accumulates (kMAC) for each pixel of the picture; "
    "the context model's are those of one look at every position.",
    *[part for s in systems for part in (f"### {s.name}", _parts(s))],
  ]


def _steps_section(systems: Sequence[System]) -> list[str]:
  several = [s for s in systems if len(s.means) > 1]
  return [
    "## Quality is continuous",
    *[f"{s.name}: {rising_line(s.evaluation)}." for s in several],
    "![bpp, PSNR and selected fraction over the quality](continuous.png)",
    "## What is selected",
    "![importance and masks over the levels](masks.png)",
  ]


def _head(command, systems, paths, versions: str) -> str:
  lines = [f"    {command}", ""]
  for system in systems:
    config = system.codec.model.config
    selects = "with" if config.selective else "without"
    lines.append(
      f"- {system.name}: {config.base}, N={config.N}, M={config.M}, {selects} "
      f"selection, fingerprint {system.codec.model.fingerprint.hex()}"
    )
  lines += [
    f"- {len(paths)} images, each through real files; values are means over "
    "them. MS-SSIM in dB is that of the mean.",
    f"- {cpu_count()} CPUs; {', '.join(versions.splitlines())}",
  ]
  return "\n".join(lines)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  lines = [head, ["---"] * len(head), *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# Columns of the tables of quality, with what is shown of each.
_SHOWN = {
  "bpp": ("bpp", "{:.4f}"),
  "psnr_db": ("PSNR dB", "{:.3f}"),
  "ms_ssim": ("MS-SSIM", "{:.5f}"),
  "ms_ssim_db": ("MS-SSIM dB", "{:.3f}"),
  "ssimulacra2": ("SSIMULACRA2", "{:.2f}"),
  "selected_fraction": ("selected", "{:.4f}"),
  "encode_s": ("encode s", "{:.3f}"),
  "decode_s": ("decode s", "{:.3f}"),
}


def _whole_levels(means: list[dict]) -> list[dict]:
  """Of a fine scan the whole levels."""
  if len(means) <= 16:
    return means
  return [row for row in means if float(row["quality"]).is_integer()]


def _cells(rows: Sequence[dict], first: str, wanted: Sequence[str]) -> str:
  """A table: the column `first`, and those of _SHOWN that the rows have."""
  rows = [row | {"ms_ssim_db": ms_ssim_db(row["ms_ssim"])} for row in rows]
  shown = {key: _SHOWN[key] for key in wanted if key in rows[0]}
  lines = [
    (
      row[first] if first == "image" else f"{row[first]:g}",
      *(text.format(row[key]) for key, (_, text) in shown.items()),
    )
    for row in rows
  ]
  return _markdown((first, *(head for head, _ in shown.values())), lines)


def _table(system: System) -> str:
  return _cells(_whole_levels(system.means), "quality", list(_SHOWN))


def _pictures(system: System) -> str:
  """A row a picture at the middle quality, folded."""
  means = system.means
  quality = means[(len(means) - 1) // 2]["quality"]
  rows = [r for r in system.evaluation.rows if r["quality"] == quality]
  wanted = [key for key in _SHOWN if key != "ms_ssim"]
  return (
    f"<details><summary>{system.name}: every picture at quality {quality:g} "
    f"(all qualities: rows_{system.name}.csv)</summary>\n\n"
    f"{_cells(rows, 'image', wanted)}\n\n</details>"
  )


def _bytes(system: System) -> str:
  """Mean bytes of the parts of a file, a row a quality."""
  means = _whole_levels(system.means)
  names = [key for key in means[0] if key.endswith("_bytes")]
  lines = [
    (
      f"{mean['quality']:g}", f"{mean['bytes']:.0f}",
      *(f"{mean[key]:.0f} ({100 * mean[key] / mean['bytes']:.1f} %)"
        for key in names),
    )
    for mean in means
  ]  # fmt: skip
  heads = [key.removesuffix("_bytes") for key in names]
  return _markdown(("quality", "bytes", *heads), lines)


def _parts(system: System) -> str:
  """Parameters and operations of a model's parts."""
  parts = complexity.parts(system.codec.model)
  total = complexity.Part(
    "sum", *(sum(getattr(part, key) for part in parts)
             for key in ("parameters", "conv_kmac", "gdn_kmac")),
  )  # fmt: skip
  lines = [
    (
      part.name, f"{part.parameters:,}", f"{part.conv_kmac:.2f}",
      f"{part.gdn_kmac:.2f}",
    )
    for part in (*parts, total)
  ]  # fmt: skip
  head = ("part", "parameters", "convolutions kMAC", "GDN kMAC")
  return _markdown(head, lines)


def _bd_matrix(names, all_curves, metric) -> list[list[tuple[float, bool]]]:
  """[row][column]: BD-rate of row against column, and whether it is fair."""
  return [
    [
      (
        curves.bd_rate(all_curves[anchor], all_curves[name], metric),
        curves.shared_range(all_curves[anchor], all_curves[name], metric)
        >= _FAIR_SHARE,
      )
      for anchor in names
    ]
    for name in names
  ]


def _write_matrix(names, matrix, path) -> None:
  rows = [
    {"curve": name, **{a: f"{value:.3f}" for a, (value, _) in zip(names, row)}}
    for name, row in zip(names, matrix)
  ]
  write_csv(rows, path, ["curve", *names])


def _write_curves(all_curves: dict[str, Curve], path) -> None:
  columns = [
    metric.column
    for metric in METRICS.values()
    if metric.column != "ssimulacra2"
    or any(metric.column in c.values for c in all_curves.values())
  ]
  rows = []
  for name, curve in all_curves.items():
    for i, bpp in enumerate(curve.bpp):
      row = {"curve": name, "bpp": bpp}
      for column, values in curve.values.items():
        row[column] = "" if np.isnan(values[i]) else values[i]
      rows.append(row)
  write_csv(rows, path, ["curve", "bpp", *columns])


def _bd_cell(anchor: Curve, curve: Curve, metric: str) -> str:
  value = curves.bd_rate(anchor, curve, metric)
  if np.isnan(value):
    return ""
  fair = curves.shared_range(anchor, curve, metric) >= _FAIR_SHARE
  return f"{value:+.2f} %" if fair else f"({value:+.2f} %)"


def _bd_section(ours: System, all_curves: dict[str, Curve]) -> str:
  known = [key for key in METRICS if ours.curve.points(key)]
  rows = [
    (name, *(_bd_cell(curve, ours.curve, key) for key in known))
    for name, curve in all_curves.items()
    if name != ours.name
  ]
  names = (f"by {METRICS[key].short}" for key in known)
  head = (f"{ours.name} against", *names)
  return (
    "Rate at equal distortion (PCHIP on log-rate); negative is better. In "
    "brackets where the two curves share less than half of the shorter one's "
    "range: such a figure says little. All curves against all: "
    "bd_rate_*.csv and .png.\n\n" + _markdown(head, rows)
  )


def _selection_section(systems: Sequence[System]) -> list[str]:
  measured = []
  for other in systems[1:]:
    saved = selection_saves(systems[0], other)
    if saved is not None:
      measured.append(
        f"Selection changes the rate by {saved:+.2f} % at equal PSNR "
        f"({systems[0].name} and {other.name}, one of which does not select)."
      )
  return ["## What selection saves", *measured] if measured else []


def _gain_section(ours: System, peer_rows, others) -> str:
  names = list(peer_means(peer_rows))
  means = [r for r in ours.means if float(r["quality"]).is_integer()]
  bpp = np.array([row["bpp"] for row in means])
  psnr = np.array([row["psnr_db"] for row in means])
  gains = {
    name: psnr - curves.value_at(others[name], bpp, "psnr_db") for name in names
  }
  rows = [
    (f"{row['quality']:g}", f"{row['bpp']:.3f}",
     *("" if np.isnan(g[i]) else f"{g[i]:+.2f}" for g in gains.values()))
    for i, row in enumerate(means)
  ]  # fmt: skip
  head = ("quality", "bpp", *(f"dB over {name.split()[0]}" for name in names))
  return (
    f"PSNR of {ours.name} less that of the installed codecs at the same bpp "
    "(empty outside their range).\n\n" + _markdown(head, rows)
  )


def _time_section(systems: Sequence[System], peer_rows) -> str:
  rows = []
  named = [(s.name, s.means, "quality") for s in systems]
  versions = {row["codec"]: row["version"] for row in peer_rows}
  named += [
    (f"{name}, {versions[name]}", means, "setting")
    for name, means in peer_means(peer_rows).items()
  ]
  for name, means, key in named:
    first, last = means[0], means[-1]
    rows.append(
      (
        name,
        f"{first[key]:g} to {last[key]:g}",
        *(f"{first[k]:.3f} to {last[k]:.3f}" for k in ("encode_s", "decode_s")),
      )
    )
  head = ("codec", "settings", "encode s", "decode s")
  return "Mean of an image, from the lowest to the highest setting.\n\n" + (
    _markdown(head, rows)
  )
