"""Builds docs/api.md from the docstrings; a test says when to run it again.

    python docs/make_api.py

Reads the sources without importing them, so that the page does not depend on
the libraries that are installed. A library for this would bring a site of its
own; one page of Markdown is what is wanted.
"""

from __future__ import annotations

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
# What a user of the package calls, in the order of use; None is everything
# public in the module.
MODULES: dict[str, tuple[str, ...] | None] = {
  "sclc_jax": None,
  "sclc_jax.codec.codec": ("Codec", "load_codec", "Symbols", "Analysis"),
  "sclc_jax.codec.rate_control": None,
  "sclc_jax.codec.images": None,
  "sclc_jax.codec.model": ("CodecModel",),
  "sclc_jax.codec.freeze": (
    "freeze", "with_tables", "with_mask_threshold", "with_selector",
  ),
  "sclc_jax.codec.model_file": (
    "save_model", "read_model", "find_model", "shipped_models",
  ),
  "sclc_jax.metrics": None,
  "sclc_jax.evaluate": None,
  "sclc_jax.curves": None,
  "sclc_jax.peers": None,
  "sclc_jax.report": None,
  "sclc_jax.explain": None,
  "sclc_jax.config": None,
  "sclc_jax.recipes": None,
  "sclc_jax.experiment": None,
  "sclc_jax.train.loop": ("train",),
  "sclc_jax.train.data": ("open_folder", "make_batches"),
}  # fmt: skip
_HEAD = """# API

Made by `python docs/make_api.py` from the docstrings; change those, not this
page. Shapes are in brackets, B batch, H and W pixels, h and w positions of the
latent y (16 pixels), M its channels, N those of z, L quality levels.
"""
_Defined = (ast.FunctionDef, ast.ClassDef)


def build() -> str:
  """The page."""
  parts = [_HEAD]
  for module, names in MODULES.items():
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text())
    parts.append(f"## {module}\n\n{_fenced(ast.get_docstring(tree))}\n")
    found = {
      node.name: node
      for node in tree.body
      if isinstance(node, _Defined) and not node.name.startswith("_")
    }
    for name in found if names is None else names:
      parts += _described(found[name], name)
  return "\n".join(parts)


def _described(node: ast.AST, name: str) -> list[str]:
  """A function, or a class with its public methods."""
  text = ast.get_docstring(node)
  if text is None:
    raise ValueError(f"{name} has no docstring, but is on the API page.")
  if isinstance(node, ast.FunctionDef):
    return [f"### `{_signature(node, name)}`\n\n{_fenced(text)}\n"]
  parts = [f"### class `{name}`\n\n{_fenced(text)}\n"]
  for child in node.body:
    if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
      parts += _described(child, f"{name}.{child.name}")
  return parts


def _signature(node: ast.FunctionDef, name: str) -> str:
  arguments = ast.unparse(node.args)
  decorators = {ast.unparse(d) for d in node.decorator_list}
  if decorators & {"property", "functools.cached_property"}:
    return name
  if "." in name:
    arguments = arguments.removeprefix("self").removeprefix(", ")
  result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
  return f"{name}({arguments}){result}"


def _fenced(text: str | None) -> str:
  """A docstring: its first line as text, the rest as it is laid out."""
  first, _, rest = (text or "").partition("\n")
  rest = rest.strip("\n")
  return first if not rest else f"{first}\n\n```text\n{rest}\n```"


if __name__ == "__main__":
  PAGE.write_text(build())
