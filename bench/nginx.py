"""One nginx that plays three parts: the archive (files), a plain proxy before it, and the proxy of the usual design."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.archive_files import ArchiveFiles
from bench.ports import wait_until_open

_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part listens; behind each of the usual designs a checker, its FastAPI."""

    archive: int
    proxy: int
    usual: int
    usual_checker: int
    lean: int
    lean_checker: int


class NginxMissingError(Exception):
    """There is no nginx here. The text says how to get one."""


def find_nginx() -> str:
    """The path of nginx. Raises NginxMissingError."""
    found = shutil.which("nginx") or shutil.which("nginx", path=":".join(_FOLDERS))
    if found is None:
        raise NginxMissingError("nginx is missing: apt-get install --no-install-recommends nginx-light")
    return found


@contextmanager
def running_nginx(folder: Path, ports: Ports, files: ArchiveFiles) -> Iterator[int]:
    """Run it until the end; yields the process id of the master. One worker, so that it has one core at most."""
    configuration = folder / "nginx.conf"
    configuration.write_text(_configuration(folder, ports, files))
    command = [find_nginx(), "-p", str(folder), "-c", str(configuration), "-e", str(folder / "nginx-error.log")]
    process = subprocess.Popen(command)
    try:
        wait_until_open(ports.archive, process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def _configuration(folder: Path, ports: Ports, files: ArchiveFiles) -> str:
    resources = "\n".join(
        f"location = {served.path} {{ types {{ }} default_type '{served.media_type}'; alias {served.file}; }}"
        for served in files.all
    )
    # Started by root it would give its workers to a user who may not read our files.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    return f"""
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 10000000;
  open_file_cache max=100;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream archive {{ server 127.0.0.1:{ports.archive}; keepalive 128; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{ports.archive} backlog=1024;
    {resources}
  }}
  server {{
    listen 127.0.0.1:{ports.proxy} backlog=1024;
    location / {{
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffer_size 64k; proxy_buffers 16 256k; proxy_busy_buffers_size 1m; proxy_max_temp_file_size 0;
      proxy_pass http://archive;
    }}
  }}
  {_guarded("usual", ports.usual, ports.usual_checker)}
  {_guarded("lean", ports.lean, ports.lean_checker)}
}}
"""


def _guarded(name: str, port: int, checker: int) -> str:
    return f"""
  upstream {name} {{ server 127.0.0.1:{checker}; keepalive 128; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      auth_request /may;
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffer_size 64k; proxy_buffers 16 256k; proxy_busy_buffers_size 1m; proxy_max_temp_file_size 0;
      proxy_pass http://archive;
    }}
    location = /may {{
      internal;
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
      proxy_pass http://{name}/may;
    }}
  }}"""
