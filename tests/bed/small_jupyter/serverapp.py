"""A Jupyter server without Jupyter: what the launcher, the anchor and the keeper need of one. It runs no kernels.

It is started as a Jupyter Server is, by the launcher, as `jupyter_server.serverapp` of a JupyterLab of its own, in a
twentieth of the time. For tests that are about links, keepers, files or advice, and not about Jupyter.
"""

import http.server
import json
import os
import signal
import socketserver
import sys
import types
import urllib.parse

LISTS = ("/api/kernels", "/api/sessions", "/api/terminals")


class ServerApp:
    """The steps in which a Jupyter Server starts, with the attributes that others set between them."""

    sock = sock_mode = token = certfile = keyfile = client_ca = websocket_url = file_to_run = ""
    base_url, ip, port, root_dir = "/", "localhost", 8888, ""
    allow_remote_access = open_browser = False
    identity_provider_class = login_handler_class = object
    kernel_manager = None

    def __init__(self):
        self.ssl_options = {}
        self.tornado_settings = {}
        self.web_app = types.SimpleNamespace(settings={})
        self.identity_provider = types.SimpleNamespace(token="", token_generated=False)

    @classmethod
    def class_trait_names(cls):
        return [name for name in vars(cls) if not name.startswith("_")]

    def has_trait(self, name):
        return hasattr(self, name)

    def initialize(self, argv):
        options = dict(word.partition("=")[::2] for word in argv)
        self.sock = options.get("--ServerApp.sock", "")
        self.identity_provider.token = options.get("--IdentityProvider.token", "")
        self.init_configurables()
        self.init_webapp()
        self.init_httpserver()

    def init_configurables(self):
        pass

    def init_webapp(self):
        pass

    def init_httpserver(self):
        umask = os.umask(0o177)
        self.http_server = Server(self.sock, Request)
        os.umask(umask)
        self.http_server.app = self

    def start_app(self):
        sys.stderr.write(f"the small server listens at {self.sock}\n")
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        self.http_server.serve_forever()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        path = "/" + path[len(self.server.app.base_url) :]
        if path == "/api":
            self.answer(200, {"version": "2.99.0"})
        elif not self.is_ours(query):
            self.answer(*((403, {"message": "Forbidden"}) if path.startswith("/api/") else (302, "", "/login")))
        elif path == "/api/status":
            self.answer(200, {"connections": 0, "kernels": 0, "last_activity": "2026-01-01T00:00:00.000000Z"})
        elif path in LISTS:
            self.answer(200, [])
        elif path in ("/", "/lab", "/tree"):
            self.answer(200, "<!DOCTYPE html><title>JupyterLab</title><p>the small server")
        else:
            self.answer(404, {"message": "Not Found"})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        if path != self.server.app.base_url + "api/shutdown" or not self.is_ours(query):
            self.answer(403, {"message": "Forbidden"})
            return
        self.answer(200, "")
        os._exit(0)

    def is_ours(self, query):
        """Whether the request has the token, and there is one."""
        token = self.server.app.identity_provider.token
        given = [self.headers.get("Authorization", ""), *urllib.parse.parse_qs(query).get("token", ())]
        return bool(token) and bool({token, "token " + token, "Bearer " + token} & set(given))

    def answer(self, status, content, location=""):
        is_text = isinstance(content, str)
        body = (content if is_text else json.dumps(content)).encode()
        if status >= 300:
            sys.stderr.write(f"{status} {self.command} {self.path.partition('?')[0]}\n")
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if is_text else "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, words, *values):
        pass


def main():
    app = ServerApp()
    app.initialize(sys.argv[1:])
    app.start_app()
