"""What stands between a sweep and its tracking server, and misbehaves on request."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"transfer-encoding", "content-length", "connection", "host"}  # headers that are of one connection


class Proxy:
    """Passes requests on to a server. `mode`: healthy, slow (3 s an answer), silent (no answer), drop (the connection
    is closed), locked (writes are refused)."""

    def __init__(self, upstream):
        self.mode, self.address = "healthy", urlsplit(upstream)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.mode == "silent":
                    time.sleep(600)
                if proxy.mode == "slow":
                    time.sleep(3)
                if proxy.mode == "drop":
                    self.close_connection = True
                    return
                is_write = self.command != "GET" and not self.path.endswith("search")
                if proxy.mode == "locked" and is_write:
                    self.reply(500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "database is locked"}')
                    return
                there = http.client.HTTPConnection(proxy.address.hostname, proxy.address.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                there.request(self.command, self.path, body, headers)
                answer = there.getresponse()
                self.reply(answer.status, dict(answer.getheaders()), answer.read())
                there.close()

            def reply(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
