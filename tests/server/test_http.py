#!/usr/bin/env python3
"""test_http.py SEXTANT [TEST...]: HTTP from the side of clients that are wrong, slow, many, or gone. This is the probe by which the HTTP layer
was chosen (docs/serving.md): what it asks for, each library that was tried lacks in some part."""
import json
import socket
import struct
import sys
import threading
import time

from serving import Server, is_closed, read_response, run_tests

BODY = b'{"input":"hello","model":"minilm"}'


def request(extra=b"", body=BODY, method=b"POST", path=b"/v1/embeddings", version=b"HTTP/1.1", host=b"Host: x\r\n", length=True):
    head = method + b" " + path + b" " + version + b"\r\n" + host + extra
    if length:
        head += b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body


def chunked(body, size=7):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
# what is sent -> statuses that are right. All but 200 close the connection, unless they say otherwise.
TABLE = [
    ("good", request(), 200),
    ("lower case", request(b"x: y\r\n", host=b"host:x\r\n"), 200),
    ("an empty line before", b"\r\n" + request(), 200),
    ("absolute form", request(path=b"http://x/v1/embeddings"), 200),
    ("chunked", request(CHUNKED, chunked(BODY), length=False), 200),
    ("chunked in capitals", request(b"Transfer-Encoding: Chunked\r\n", chunked(BODY), length=False), 200),
    ("chunk extension, trailer", request(CHUNKED, b"%x;a=b\r\n" % len(BODY) + BODY + b"\r\n0\r\nX: y\r\n\r\n", length=False), 200),
    ("HTTP/1.0 without Host", request(version=b"HTTP/1.0", host=b""), 200),
    ("two Content-Lengths", request(b"Content-Length: 5\r\n"), 400),
    ("two equal Content-Lengths", request(b"Content-Length: %d\r\n" % len(BODY)), 400),
    ("a list of lengths", request(b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY)), length=False), 400),
    ("length with sign", request(b"Content-Length: +%d\r\n" % len(BODY), length=False), 400),
    ("length in hex", request(b"Content-Length: 0x22\r\n", length=False), 400),
    ("huge length", request(b"Content-Length: 99999999999999999999\r\n", length=False), 400),
    ("negative length", request(b"Content-Length: -1\r\n", length=False), 400),
    ("empty length", request(b"Content-Length:\r\n", length=False), 400),
    ("length and chunked", request(CHUNKED), 400),
    ("chunked and length", request(CHUNKED + b"Content-Length: 3\r\n", chunked(BODY), length=False), 400),
    ("gzip, chunked", request(b"Transfer-Encoding: gzip, chunked\r\n", length=False), 501),
    ("identity", request(b"Transfer-Encoding: identity\r\n", length=False), 501),
    ("chunked twice", request(CHUNKED + CHUNKED, length=False), 501),
    ("xchunked", request(b"Transfer-Encoding: xchunked\r\n", length=False), 501),
    ("chunked in HTTP/1.0", request(CHUNKED, chunked(BODY), version=b"HTTP/1.0", length=False), 400),
    ("no Host", request(host=b""), 400),
    ("two Hosts", request(b"Host: y\r\n"), 400),
    ("space before colon", request(b"X : y\r\n"), 400),
    ("length, space before colon", request(b"Content-Length : 5\r\n", length=False), 400),
    ("no colon", request(b"Xy\r\n"), 400),
    ("empty name", request(b": y\r\n"), 400),
    ("NUL in a value", request(b"X: a\0b\r\n"), 400),
    ("NUL in a name", request(b"X\0: a\r\n"), 400),
    ("control character", request(b"X: a\x01b\r\n"), 400),
    ("CR in a value", request(b"X: a\rb\r\n"), 400),
    ("bare LF", b"POST /v1/embeddings HTTP/1.1\nHost: x\n\n", 400),
    ("bare LF in one header", request(b"X: y\n"), 400),
    ("folded header", request(b"X: a\r\n b\r\n"), 400),
    ("space first", request(host=b" Host: x\r\n"), 400),
    ("wrong chunk size", request(CHUNKED, b"zz\r\nab\r\n0\r\n\r\n", length=False), 400),
    ("chunk size too large", request(CHUNKED, b"fffffffffffffffff\r\n", length=False), 400),
    ("negative chunk size", request(CHUNKED, b"-1\r\n", length=False), 400),
    ("chunk longer than said", request(CHUNKED, b"2\r\nabc\r\n0\r\n\r\n", length=False), 400),
    ("chunk size with bare LF", request(CHUNKED, b"2\nab\n0\n\n", length=False), 400),
    ("chunk size with 0x", request(CHUNKED, b"0x2\r\nab\r\n0\r\n\r\n", length=False), 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("HTTP/0.9", b"GET /health\r\n\r\n", 400),
    ("HTTP/3.0", request(version=b"HTTP/3.0"), 505),
    ("no such version", request(version=b"HTTQ/1.1"), 400),
    ("two spaces", b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("tab", b"GET\t/health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("no path", b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("high byte in path", b"GET /h\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("NUL encoded in path", b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("half an encoding", b"GET /a%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("TLS hello", bytes.fromhex("16030100c8010000c40303") + b"\n\n", 400),
    ("a long line", b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n", 431),
    ("many headers", request(b"".join(b"X-%d: y\r\n" % i for i in range(150))), 431),
    ("a long header", request(b"X: " + b"y" * 40000 + b"\r\n"), 431),
    ("other expectation", request(b"Expect: magic\r\n"), 417),
    ("a coded body", request(b"Content-Encoding: gzip\r\n"), 415),
    ("declared too long", b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n", 413),
    ("declared far too long", b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000000\r\n\r\n", 413),
    ("chunked too long", request(CHUNKED, b"200000\r\n" + b"a" * 65536, length=False), 413),
    ("no such path", request(path=b"/nothing"), 404),
    ("dots", request(path=b"/../../etc/passwd", method=b"GET"), 404),
    ("encoded dots", request(path=b"/%2e%2e/%2e%2e/etc/passwd", method=b"GET"), 404),
    ("no such method", request(method=b"BREW"), 405),
    ("GET for POST", b"GET /v1/embeddings HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ("CONNECT", b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
]


def error_message(path, body):
    """The message, which each API writes in its own way."""
    parsed = json.loads(body)
    if path.startswith(b"/embed"):
        assert set(parsed) == {"error", "error_type"}, parsed
        return parsed["error"]
    assert set(parsed["error"]) == {"message", "type", "param", "code"}, parsed
    return parsed["error"]["message"]


def test_table():
    with Server("--max-body", "1MiB", "--read-timeout", "3") as server:
        for name, data, wanted in TABLE:
            s = server.raw(data)
            status, headers, body, _ = read_response(s)
            assert status == wanted, (name, status, body)
            assert headers.get("x-request-id") and headers.get("date"), (name, headers)
            if status != 200:
                assert error_message((data.split(b" ") + [b""])[1], body), name
            if status not in (200, 404, 405):
                assert headers.get("connection") == "close" and is_closed(s), name
            s.close()
        assert server.ask("/health")[0] == 200


def test_bytewise():
    """A request that arrives byte by byte is the same request."""
    with Server() as server:
        for data in (request(), request(CHUNKED, chunked(BODY), length=False)):
            s = server.raw()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)):
                s.sendall(data[i:i + 1])
            assert read_response(s)[0] == 200
            s.close()


def test_cut_everywhere():
    """Cut at every byte, closed or reset, a request leaves nothing: no answer, no embedding, no connection."""
    with Server() as server:
        for data in (request(), request(CHUNKED, chunked(BODY), length=False)):
            for i in range(len(data)):
                s = server.raw(data[:i])
                if i % 2:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()
        metrics = server.metrics(lambda text: "sextant_connections 1\n" in text and "sextant_body_bytes 0\n" in text)
        assert "sextant_connections 1\n" in metrics, metrics
        assert 'te_embed_count{route="/v1/embeddings"' not in metrics
        assert "sextant_body_bytes 0\n" in metrics
        assert server.ask("/v1/embeddings", {"input": "x"})[0] == 200


def test_continue_and_pipeline():
    with Server() as server:
        s = server.raw(request(b"Expect: 100-continue\r\n")[:-len(BODY)])
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(BODY)
        assert read_response(s)[0] == 200
        # a body that will be refused is not asked for
        s = server.raw(b"POST /embed HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")
        assert read_response(s)[0] == 413
        # requests sent ahead are answered in their order
        texts = [f"text {i}" for i in range(20)]
        s = server.raw(b"".join(request(body=json.dumps({"input": t}).encode()) for t in texts))
        rest, seen = b"", []
        for _ in texts:
            status, _, body, rest = read_response(s, rest)
            assert status == 200
            seen.append(json.loads(body)["data"][0]["embedding"])
        one = [server.ask("/v1/embeddings", {"input": t})[1]["data"][0]["embedding"] for t in texts]
        assert seen == one
        # thousands of small ones in one piece
        many = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 5000
        s = server.raw()
        threading.Thread(target=s.sendall, args=(many,), daemon=True).start()
        rest = b""
        for _ in range(5000):
            status, _, _, rest = read_response(s, rest)
            assert status == 200
        # HEAD has no body
        s = server.raw(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while b"pong" not in data:
            data += s.recv(1000)
        assert b"healthy" not in data and data.count(b"HTTP/1.1 200") == 2


def test_slow_clients():
    """A byte a second in head or body does not live on; who is merely idle may stay; a steady slow upload gets through."""
    with Server("--read-timeout", "2", "--idle-timeout", "4") as server:
        head = server.raw(b"POST /v1/embeddings HT")
        body = server.raw(request()[:-10])
        piece = server.raw(request(CHUNKED, b"ffff\r\nabc", length=False))
        half = server.raw()
        ends = {}

        def drip(name, s, data):
            start = time.monotonic()
            try:
                while time.monotonic() - start < 8:
                    s.sendall(data)
                    s.settimeout(0.5)
                    try:
                        got = s.recv(1000)
                        ends[name] = (time.monotonic() - start, got.split(b"\r\n")[0])
                        return
                    except (TimeoutError, socket.timeout):
                        pass
            except OSError:
                ends[name] = (time.monotonic() - start, b"closed")

        threads = [threading.Thread(target=drip, args=a) for a in (("head", head, b"a"), ("body", body, b" "), ("chunk", piece, b"a"))]
        for t in threads:
            t.start()
        steady = server.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 800000\r\n\r\n")
        filler = b'{"input":"x","user":"' + b"a" * (800000 - 23) + b'"}'
        for i in range(0, len(filler), 200000):
            time.sleep(1)
            steady.sendall(filler[i:i + 200000])
        assert read_response(steady)[0] == 200
        for t in threads:
            t.join()
        for name in ("head", "body", "chunk"):
            assert 1.5 < ends[name][0] < 5 and b" 408 " in ends[name][1], ends
        assert is_closed(half, 6)


def test_crowd():
    """2,000 idle connections and 200 that drip, while others are served: memory bounded, answers come."""
    with Server("--read-timeout", "60") as server:
        server.ask("/v1/embeddings", {"input": "warm"})
        before = server.memory()
        idle = [server.raw() for _ in range(2000)]
        slow = [server.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost") for _ in range(200)]
        alive = server.raw(request())
        assert read_response(alive)[0] == 200
        assert "sextant_connections 22" in server.metrics(lambda text: "sextant_connections 22" in text)
        each = (server.memory() - before) / len(idle)
        assert each < 4096, f"{each:.0f} bytes a connection"
        for s in idle + slow:
            s.close()
    with Server("--max-connections", "50") as server:
        idle = [server.raw() for _ in range(60)]
        assert server.ask("/health")[0] == 200
        assert is_closed(idle[0], 1) and not is_closed(idle[-1], 0.2), "the longest idle connection makes room"


def test_gone_client():
    """Texts of a client that hung up while they waited are not embedded."""
    with Server("--threads", "1", "--max-batch-tokens", "256") as server:
        long = {"input": ["word " * 200] * 30}
        busy = threading.Thread(target=server.ask, args=("/v1/embeddings", long))
        busy.start()
        time.sleep(0.3)
        data = json.dumps({"input": ["other " * 200] * 300}).encode()
        s = server.raw(request(body=data))
        time.sleep(0.3)
        s.close()
        busy.join()
        assert server.ask("/v1/embeddings", {"input": "x"})[0] == 200
        metrics = server.metrics()
        dropped = [int(float(line.split()[-1])) for line in metrics.splitlines() if line.startswith("sextant_dropped_texts_total{")]
        assert dropped[0] > 250, dropped
        gone = [entry for entry in server.logged(lambda all: any(e.get("gone") for e in all)) if entry.get("gone")]
        assert gone and gone[0]["status"] == 499, gone


run_tests(globals())
