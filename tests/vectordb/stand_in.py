"""stand_in.py - what the stand-ins of vector databases share: an HTTP server on loopback that wants a key, writes down what it is asked, keeps its data
over kill -9, and cuts connections.

A stand-in is STAND_IN.py PORT [--log FILE] [--journal FILE] [--cut N]:
  --log FILE       every request, a JSON line each
  --journal FILE   every request that changed something, written before it is answered; at the start they are done again, so what was answered is there
                   after a crash, and what was cut off may be
  --cut N          of the requests that change something every Nth is carried out, and then the connection is cut instead of answering: whoever asks has
                   to ask again
"""
import heapq
import json
import math
import operator
import os
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sesame"


class Refused(Exception):
    def __init__(self, code, reply):
        super().__init__(reply)
        self.code, self.reply = code, reply


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def dot(a, b):
    return sum(map(operator.mul, a, b))


def similarity(kind, a, b):
    """By the collection's kind; higher is nearer: cosine, dot, or minus the square of the distance (l2)."""
    if kind == "l2":
        return -sum((x - y) * (x - y) for x, y in zip(a, b))
    return dot(a, b) / (math.sqrt(dot(a, a) * dot(b, b)) if kind == "cosine" else 1)


def nearest(kind, vector, records, most):
    """[(similarity, key)] of (key, vector) pairs, best first."""
    return heapq.nlargest(most, ((similarity(kind, vector, other), key) for key, other in records))


def serve(service):
    """service: has_key(headers) -> bool; denied: what is answered without; answer(method, path, query, body, host) -> (code, reply), or raises Refused;
    changes(method, path) -> bool. It becomes `ready` when the journal was done again."""
    log, journal = option("--log"), option("--journal")
    cut = int(option("--cut") or 0)
    lock = threading.Lock()
    changed = [0]

    def carry_out(method, target, body, host):
        url = urllib.parse.urlsplit(target)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        return service.answer(method, url.path, query, json.loads(body) if body else None, host)

    if journal and os.path.exists(journal):
        with open(journal) as lines:
            for line in lines:
                if line.endswith("\n"):
                    carry_out(*json.loads(line))
    service.ready = True
    log = open(log, "a") if log else None
    journal = open(journal, "a") if journal else None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path = urllib.parse.urlsplit(self.path).path
            code, reply = 500, {"message": "no answer"}
            try:
                if not service.has_key(self.headers):
                    raise Refused(*service.denied)
                if body and self.headers.get("Content-Type") != "application/json":
                    raise Refused(415, {"message": "no JSON"})
                with lock:
                    if log:
                        log.write(json.dumps({"method": self.command, "path": self.path, "body": json.loads(body) if body else None}) + "\n")
                        log.flush()
                    code, reply = carry_out(self.command, self.path, body, self.headers.get("Host"))
                    if service.changes(self.command, path):
                        if journal:
                            journal.write(json.dumps([self.command, self.path, body, self.headers.get("Host")]) + "\n")
                            journal.flush()
                        changed[0] += 1
                        if cut and changed[0] % cut == 0:
                            self.close_connection = True
                            return
            except Refused as refused:
                code, reply = refused.code, refused.reply
            data = b"" if reply is None else json.dumps(reply).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = serve

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    Quiet(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
