"""A server on this machine that answers as Google Cloud Storage does.

gcp-storage-emulator, with what tensorstore relies on beyond it: the generation
of an object that is read, reads only if that has changed, and ranges of names.
"""

import http
import socket
import threading

from gcp_storage_emulator import server
from gcp_storage_emulator.handlers import objects

_download, _ls = objects.download, objects.ls


def _value(request, key: str, default: str = "") -> str:
  return request.query.get(key, [default])[0]


def _with_generation(request, response, storage, *args):
  _download(request, response, storage, *args)
  if response.status.value >= 300:
    return
  names = request.params["bucket_name"], request.params["object_id"]
  generation = storage.get_file_obj(*names)["generation"]
  response["x-goog-generation"] = generation
  if _value(request, "ifGenerationNotMatch") == generation:
    response.status = http.HTTPStatus.NOT_MODIFIED
    response.write_file(b"")


class _Within:
  """A list of objects without those that are out of a range of names."""

  def __init__(self, storage, first: str, end: str):
    self._storage, self._first, self._end = storage, first, end

  def get_file_list(self, *args, **kwargs):
    files, prefixes = self._storage.get_file_list(*args, **kwargs)
    return [f for f in files if self._has(f["name"])], prefixes

  def _has(self, name: str) -> bool:
    return name >= self._first and (not self._end or name < self._end)


def _ls_range(request, response, storage, *args):
  ends = _value(request, "startOffset"), _value(request, "endOffset")
  _ls(request, response, _Within(storage, *ends), *args)


def _extend() -> None:
  objects.download = _with_generation
  for _, handlers in server.HANDLERS:
    for method, handler in handlers.items():
      if handler is _download:
        handlers[method] = _with_generation
      elif handler is _ls:
        handlers[method] = _ls_range


def start(bucket: str) -> dict[str, str]:
  """Serves one bucket while this process lasts.

  Readers that work ahead would wait for a server that has gone.

  Returns:
    What the environment should say of it.
  """
  _extend()
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  emulator = server.create_server(
    "127.0.0.1", port, in_memory=True, default_bucket=bucket
  )
  emulator._api.daemon = True
  emulator.start()
  # Clients may close a connection before they have read what they have.
  emulator._api._httpd.handle_error = lambda *unused: None
  return {
    "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"
  }


if __name__ == "__main__":
  for name, value in start("bucket").items():
    print(f"export {name}={value}", flush=True)
  threading.Event().wait()
