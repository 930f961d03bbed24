"""An OpenAI-compatible embeddings service that fails as real ones do, by a script with a fixed seed.

The vector of a text follows from its bytes, so a mix-up shows. Every request that holds POISON is refused with 400, one of more than
`most_texts` with 413. What was answered whole and well is counted by text, and each request's time of arrival is kept, so that a test can
say what was paid for twice and how many requests any minute held. Standard library only.
"""
import base64
import hashlib
import json
import random
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 16
FAULTS = [
    "429", "429 after", "429 ms", "429 date", "500", "502 html", "503", "503 after", "slow", "cut", "cut chunked", "hang up",
    "missing", "superfluous", "doubled", "beyond", "short", "long", "nan", "infinity", "null", "zero", "base64", "html",
    "invalid json", "half json", "empty", "shuffled", "error in 200", "moved base64",
]
VALID = {"ok", "slow", "base64", "shuffled"}


def vector(text):
    digest = hashlib.sha512(text.encode("utf-8")).digest()
    values = [struct.unpack("<i", digest[i * 4:i * 4 + 4])[0] / 2**31 for i in range(DIMENSIONS)]
    length = sum(value * value for value in values) ** 0.5
    return [struct.unpack("<f", struct.pack("<f", value / length))[0] for value in values]


class Service:
    def __init__(self, faulty, most_texts=64, seconds=0.0, seed=7):
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.steps = 0
        self.script = self.make_script(faulty)
        self.most_texts, self.seconds = most_texts, seconds
        self.requests, self.tokens, self.arrivals, self.answered, self.sizes, self.met, self.strangers = 0, 0, [], {}, [], {}, 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                service.serve(self)

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/v1" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def make_script(self, faulty):
        """Each fault once among some good replies, in an order of its own; then again."""
        if not faulty:
            return ["ok"]
        script = FAULTS + ["ok"] * len(FAULTS)
        self.random.shuffle(script)
        return script

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, handler):
        arrival = time.monotonic()
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        with self.lock:
            self.requests += 1
            self.arrivals.append((arrival, len(texts)))
            self.sizes.append(len(texts))
            self.strangers += handler.headers.get("Authorization") != "Bearer sk-faulty-secret-0123456789"
        if len(texts) > self.most_texts:
            return self.refuse(handler, 413, "too many inputs")
        if any("POISON" in text for text in texts):
            return self.refuse(handler, 400, "input contains something we refuse", [])
        if any(not text.strip() for text in texts):
            return self.refuse(handler, 400, "input must not be empty", [])
        with self.lock: # a request that was refused for what it holds uses up no fault
            fault = self.script[self.steps % len(self.script)]
            self.steps += 1
            self.met[fault] = self.met.get(fault, 0) + 1
        if self.seconds:
            time.sleep(self.seconds)
        self.act(handler, fault, texts, body)

    def say(self, handler, code, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def refuse(self, handler, code, message, headers=()):
        self.say(handler, code, {"error": {"message": message, "type": "some_error", "param": None, "code": None}}, headers)

    def rows(self, texts, as_base64):
        rows = []
        for index, text in enumerate(texts):
            values = vector(text)
            if as_base64:
                values = base64.b64encode(struct.pack("<%df" % DIMENSIONS, *values)).decode()
            rows.append({"object": "embedding", "index": index, "embedding": values})
        return rows

    def act(self, handler, fault, texts, body):
        if fault[:3] in ("429", "503") or fault == "500":
            soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1))
            headers = {"429 after": [("Retry-After", "0.2")], "429 ms": [("retry-after-ms", "150"), ("Retry-After", "20")],
                       "429 date": [("Retry-After", soon)], "503 after": [("Retry-After", "1")]}.get(fault, [])
            return self.refuse(handler, int(fault[:3]), "not now (" + fault + ")", headers)
        if fault == "502 html":
            return self.say(handler, 502, b"<html><body>Bad Gateway</body></html>")
        if fault == "hang up":
            handler.close_connection = True
            return None
        whole = {"html": b"<!DOCTYPE html><html>Sign in</html>", "invalid json": b'{"data":[{]}', "empty": b"",
                 "error in 200": b'{"error":{"message":"upstream failed"}}'}.get(fault)
        if whole is not None:
            return self.say(handler, 200, whole)
        if fault == "slow":
            time.sleep(0.7)
        wanted = body.get("encoding_format") == "base64"
        rows = self.rows(texts, not wanted if fault == "base64" else wanted)
        plain = self.rows(texts[:1], False)[0]["embedding"]
        if fault == "missing":
            rows.pop()
        elif fault == "superfluous":
            rows.append(dict(rows[0], index=len(rows)))
        elif fault == "doubled":
            rows.append(dict(rows[0]))
        elif fault == "beyond":
            rows[0]["index"] = len(rows) + 5
        elif fault == "short":
            rows[0]["embedding"] = plain[:-1]
        elif fault == "long":
            rows[0]["embedding"] = plain + [0.5]
        elif fault == "nan":
            rows[0]["embedding"] = [float("nan")] + plain[1:]
        elif fault == "infinity":
            rows[0]["embedding"] = base64.b64encode(struct.pack("<%df" % DIMENSIONS, float("inf"), *plain[1:])).decode()
        elif fault == "null":
            rows[0]["embedding"] = [None] + plain[1:]
        elif fault == "zero":
            rows[-1]["embedding"] = [0.0] * DIMENSIONS
        elif fault == "moved base64":
            rows[0]["embedding"] = base64.b64encode(struct.pack("<%df" % DIMENSIONS, *plain))[:-7].decode()
        elif fault == "shuffled":
            with self.lock:
                self.random.shuffle(rows)
        tokens = sum(len(text.split()) for text in texts)
        reply = json.dumps({"object": "list", "data": rows, "model": body["model"],
                            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}).encode()
        if fault in ("cut", "half json"):
            handler.send_response(200)
            if fault == "cut":
                handler.send_header("Content-Length", str(len(reply)))
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.wfile.write(reply[:len(reply) // 2])
            handler.close_connection = True
        elif fault == "cut chunked":
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n" % len(reply) + reply[:len(reply) // 2])
            handler.close_connection = True
        else:
            if fault in VALID:
                with self.lock:
                    self.tokens += tokens
                    for text in texts:
                        self.answered[text] = self.answered.get(text, 0) + 1
            self.say(handler, 200, reply)
        return None

    def most_in_a_minute(self):
        """The most requests in any window of 60 seconds."""
        times, first, most = sorted(at for at, _ in self.arrivals), 0, 0
        for last, at in enumerate(times):
            while at - times[first] >= 60:
                first += 1
            most = max(most, last - first + 1)
        return most
