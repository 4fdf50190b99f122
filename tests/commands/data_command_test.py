"""`sclc data` before its pipeline is built."""

import pytest

from sclc_jax import cli
from sclc_jax.commands import checks


def test_without_beam_the_extra_is_named(album, capsys, monkeypatch):
  monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
  assert cli.main(["data", "a.png", "-o", "set"]) == 1
  text = capsys.readouterr().err
  assert text.count("\n") == 1
  assert "pip install 'sclc_jax[beam]'" in text


def test_what_follows_two_dashes_is_for_beam():
  line = ["data", "a.png", "-o", "set", "--runner", "X", "--", "--project", "p"]
  args = cli._parser().parse_args(line)
  assert (args.inputs, args.runner) == (["a.png"], "X")
  assert args.options == ["--project", "p"]


@pytest.mark.parametrize(
  ("line", "text"),
  [
    ("data no.png -o set", "there is no no.png"),
    ("data *.webp -o set", "there is no *.webp"),
    ("data a.png -o b.png", "-o b.png exists already"),
    ("data a.png -o a.png/set", "a.png"),
    ("data s3://bucket/a.png -o set", "s3://bucket/a.png"),
  ],
)
def test_wrong_paths_are_refused_soon(album, capsys, monkeypatch, line, text):
  monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: True)
  assert cli.main(line.split()) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1 and text in error
