"""`-` is stdin or stdout: commands in pipes, as docs and README have them."""

import io
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import save_model


@pytest.fixture
def piped(tmp_path, tiny_model, monkeypatch):
  """Runs a command with bytes on stdin; gives its exit code and stdout."""
  monkeypatch.chdir(tmp_path)
  save_model(tiny_model, "m.sclcm")

  def run(data, *args):
    out = io.BytesIO()
    monkeypatch.setattr(
      sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data))
    )
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    code = cli.main([*args, "--model", "m.sclcm", "--quiet"])
    sys.stdout.flush()
    return code, out.getvalue()

  return run


def _png(image):
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, "PNG")
  return buffer.getvalue()


def test_compress_and_decompress_in_a_pipe(piped, tiny_model, photo):
  codec = Codec(tiny_model)
  expected = codec.compress(photo, 3)
  code, data = piped(_png(photo), "compress", "-", "--quality", "3")
  assert code == 0 and data == expected
  code, picture = piped(data, "decompress", "-")
  assert code == 0
  actual = np.asarray(Image.open(io.BytesIO(picture)))
  np.testing.assert_array_equal(actual, codec.decompress(expected))


def test_stdin_to_a_file_and_a_file_to_stdout(piped, tmp_path, photo):
  code, out = piped(_png(photo), "compress", "-", "-o", "x.sclc")
  assert code == 0 and b"SCL" not in out
  data = (tmp_path / "x.sclc").read_bytes()
  code, picture = piped(b"", "decompress", "x.sclc", "-o", "-")
  assert code == 0 and picture == piped(data, "decompress", "-")[1]


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_damage_on_stdin_leaves_stdout_empty(piped, capfd, command):
  code, out = piped(b"\x00" * 99, command, "-")
  assert code == 1 and out == b""
  assert f"sclc {command}: error:" in capfd.readouterr().err


def test_a_reader_that_leaves_is_no_error():
  reader, writer = os.pipe()
  os.close(reader)
  command = [sys.executable, "-m", "sclc_jax", "models"]
  done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
  os.close(writer)
  assert done.returncode == 141 and done.stderr == b""
