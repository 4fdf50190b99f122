"""Imports point one way: from the layers above to those below."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# From the bottom up. A folder stands for the files in it that no other line
# names; files of one line may import each other, but not in a circle.
LAYERS = (
  ("config", "metrics", "images", "buckets", "bucket_folders", "files",
   "formats", "cpus", "malloc"),
  ("nn",),
  ("models",),
  ("codec/tiles", "codec/elementary", "codec/images"),
  ("codec/entropy", "codec/stream"),
  ("codec/exact",),
  ("codec/model", "weights"),
  ("codec/pixels",),
  ("codec/latents",),
  ("codec/rate_control",),
  ("codec/codec",),
  ("plan/chips", "plan/work"),
  ("", "export", "evaluation", "train"),
  ("runs", "beam"),
  ("plan",),
  ("commands",),
  ("cli",),
  ("__main__",),
)
# Neither needs what the other does: optax and data sets, or the range coder.
APART = (("codec", "train"), ("train", "codec"), ("train", "export"))


def _modules() -> dict[str, pathlib.Path]:
  """Files of the package by dotted name."""
  files = {}
  for path in sorted((ROOT / "sclc_jax").rglob("*.py")):
    parts = path.relative_to(ROOT).with_suffix("").parts
    files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
  return files


MODULES = _modules()


def _imports(path: pathlib.Path) -> set[str]:
  """Modules of the package that a file imports anywhere in it."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      for alias in node.names:
        module = f"{node.module}.{alias.name}"
        names.add(module if module in MODULES else node.module)
  return names & MODULES.keys()


IMPORTS = {name: _imports(path) for name, path in MODULES.items()}


def _layer(module: str) -> int:
  """Number of the layer whose name is the longest start of the module's."""
  path = module.removeprefix("sclc_jax").lstrip(".").replace(".", "/")
  matches = [
    (len(name), number)
    for number, names in enumerate(LAYERS)
    for name in names
    if path == name or (name and path.startswith(f"{name}/"))
  ]
  # The package itself, and folders of nothing but rooms.
  return max(matches)[1] if matches else len(LAYERS)


@pytest.mark.parametrize("module", [m for m in MODULES if "." in m])
def test_no_import_points_up(module):
  upward = {name for name in IMPORTS[module] if _layer(name) > _layer(module)}
  assert not upward


@pytest.mark.parametrize(("room", "other"), APART)
def test_rooms_apart_do_not_import_each_other(room, other):
  for module in MODULES:
    if module.startswith(f"sclc_jax.{room}."):
      below = [f for f in IMPORTS[module] if f.startswith(f"sclc_jax.{other}.")]
      assert not below


def _circle(module: str, path: tuple[str, ...], clear: set[str]):
  """Modules that import each other round, or None."""
  if module in path:
    return path[path.index(module) :]
  if module not in clear:
    for name in sorted(IMPORTS[module]):
      if circle := _circle(name, (*path, module), clear):
        return circle
    clear.add(module)
  return None


def test_no_modules_import_each_other_in_a_circle():
  clear: set[str] = set()
  assert not [c for module in MODULES if (c := _circle(module, (), clear))]
