"""httpbin behind a check of `X-Api-Key`, which httpbin itself does not get to see. Runs in the suite's environment."""

import os
import socketserver
import sys
from wsgiref.simple_server import WSGIServer, make_server

from httpbin import app
from pytest_httpbin.serve import Handler


def keyed(environ, start_response):
    if environ.pop("HTTP_X_API_KEY", None) != os.environ["HTTPBIN_KEY"]:
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return [b""]
    return app(environ, start_response)


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    with make_server(
        "127.0.0.1", int(sys.argv[1]), keyed, server_class=Server, handler_class=Handler
    ) as server:
        print("listening", flush=True)
        server.serve_forever()
