"""The notebooks run top to bottom, with the small numbers given here.

They are Colab's, whose Python is 3.12 or later: environment B.
"""

import pathlib
import re

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

FOLDER = pathlib.Path(__file__).parents[1] / "colab"
# nbclient waits for ever, now and then, for a cell with an Output widget, which
# `interact` makes (jupyter/nbclient issue 312). What that calls is run all the
# same.
_STILL = "ipywidgets.interact = lambda show, quality: show(quality.value)"
SMALL = {
  "demo": f"MAX_BYTES = 9_000\nimport ipywidgets\n{_STILL}",
  "train": "STEPS, N, M, BATCH, CROP = (2, 1, 1, 1), 8, 12, 2, 64",
}


def _read(name):
  return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
  # Compiling is most of the time of these few steps.
  monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
  notebook = _read(name)
  (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get(
    "tags", []))  # fmt: skip
  cell.source += f"\n{SMALL[name]}"
  resources = {"metadata": {"path": str(tmp_path)}}
  nbclient.NotebookClient(notebook, timeout=1200, resources=resources).execute()
  pictures = [
    output
    for cell in notebook.cells
    for output in cell.get("outputs", [])
    if "image/png" in output.get("data", {})
  ]
  assert len(pictures) >= {"demo": 2, "train": 1}[name]
  text = "".join(
    output.get("text", "")
    for cell in notebook.cells
    for output in cell.get("outputs", [])
  )
  assert "Traceback" not in text and re.search(r"\d+ bytes", text)


@pytest.mark.parametrize("name", SMALL)
def test_notebook_is_kept_without_outputs(name):
  for cell in _read(name).cells:
    assert not cell.get("outputs") and cell.get("execution_count") is None


def test_notebooks_begin_alike():
  first = [_read(name).cells[1].source for name in SMALL]
  assert first[0] == first[1] and first[0].rstrip().endswith("check=True)")
