"""Recipes: config files, found by path or by name."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import sclc_jax

SWEEPS = "sweeps"  # folder of the sweeps beside the other recipes


def folder() -> pathlib.Path:
  """Where the recipes lie: in the installed package, or in the checkout."""
  package = pathlib.Path(sclc_jax.__file__).parent
  installed = package / "experiments"
  return installed if installed.is_dir() else package.parent / "experiments"


def names(below: str = "") -> list[str]:
  """Names of the recipes in a folder below `folder()`."""
  paths = (folder() / below).glob("[!_]*.py")
  return sorted(path.stem for path in paths)


def find(recipe: str | os.PathLike, below: str = "") -> pathlib.Path:
  """The file of a recipe.

  Args:
    recipe: a path, or the name of a recipe that comes with the package.
    below: folder of the names, `SWEEPS` or that of the single recipes.
  """
  path = pathlib.Path(recipe)
  if path.is_file():
    return path
  if str(recipe) in names(below):
    return folder() / below / f"{recipe}.py"
  raise ValueError(
    f"config {recipe} is neither a file nor a recipe; the recipes are "
    f"{', '.join(names(below))}."
  )


def sweep_points(config, points: Mapping[str, Mapping[str, Any]]) -> dict:
  """The points of a sweep: a ConfigDict with the changes of each.

  Args:
    config: what the points share.
    points: changes of each point by its name, keyed like `model.base`.
  """
  sweep = {}
  for name, changes in points.items():
    sweep[name] = config.copy_and_resolve_references()
    sweep[name].update_from_flattened_dict(changes)
  return sweep
