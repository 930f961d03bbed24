#!/usr/bin/env python3
"""test_service.py SEXTANT [TEST...]: the server as a service: keys and their limits, overload, fairness, several models, browsers, figures, signals."""
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from serving import Server, environment, families, program, run_tests


def key_file(folder, *lines):
    path = os.path.join(folder, "keys")
    with open(path, "w") as f:
        f.write("# who may\n" + "".join(line + "\n" for line in lines))
    return path


def hashed(key):
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def bearer(key):
    return {"Authorization": "Bearer " + key}


def test_keys():
    with tempfile.TemporaryDirectory() as folder:
        path = key_file(folder, "alice " + hashed("secret-a"), "bob " + hashed("secret-b") + " requests-per-minute=3 tokens-per-minute=100000",
                        "carol " + hashed("secret-c") + " tokens-per-minute=5")
        with Server("--api-key-file", path) as s:
            body = {"input": "a"}
            for headers in ({}, bearer("wrong"), bearer(""), {"api-key": "secret"}, {"Authorization": "Basic secret-a"}):
                status, error, got = s.ask("/v1/embeddings", body, headers)
                assert status == 401 and error["error"]["type"] == "authentication_error" and got["www-authenticate"], (headers, error)
            assert s.ask("/embed", {"inputs": "a"})[0] == 401 and s.ask("/metrics")[0] == 401 and s.ask("/v1/models")[0] == 401
            assert s.ask("/health")[0] == 200 and s.ask("/ready")[0] == 200
            for headers in (bearer("secret-a"), {"api-key": "secret-a"}, {"X-API-Key": "secret-a"}, {"authorization": "bearer  secret-a"}):
                assert s.ask("/v1/embeddings", body, headers)[0] == 200, headers
            answers = [s.ask("/v1/embeddings", body, bearer("secret-b")) for _ in range(4)]
            assert [a[0] for a in answers] == [200, 200, 200, 429]
            assert answers[0][2]["x-ratelimit-remaining-requests"] == "2" and answers[0][2]["x-ratelimit-limit-tokens"] == "100000"
            assert 1 <= int(answers[3][2]["retry-after"]) <= 20 and answers[3][1]["error"]["type"] == "rate_limit_error"
            # tokens are known afterwards: the next request waits
            assert [s.ask("/v1/embeddings", {"input": "one two three four five six"}, bearer("secret-c"))[0] for _ in range(2)] == [200, 429]
            logged = s.logged(lambda all: {e.get("key") for e in all} >= {"alice", "bob"})
            assert {e.get("key") for e in logged} >= {"alice", "bob"} and "secret" not in json.dumps(logged)
            # SIGHUP: bob goes, dave comes, what is wrong changes nothing
            key_file(folder, "alice " + hashed("secret-a"), "dave " + hashed("secret-d"))
            s.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + 5
            while s.ask("/v1/models", None, bearer("secret-d"))[0] != 200 and time.monotonic() < end:
                time.sleep(0.05)
            assert s.ask("/v1/models", None, bearer("secret-d"))[0] == 200 and s.ask("/v1/models", None, bearer("secret-b"))[0] == 401
            key_file(folder, "alice not-a-hash")
            s.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            assert s.ask("/v1/models", None, bearer("secret-d"))[0] == 200
        for lines in ((), ("alice secret",), ("alice " + hashed("a"), "alice " + hashed("b")), ("alice " + hashed("a") + " speed=3",)):
            refused(["--api-key-file", key_file(folder, *lines)], "keys")


def refused(options, word):
    """It does not start, and says why."""
    with tempfile.TemporaryDirectory() as home:
        run = subprocess.run([program, "serve", "--port", "0", "-m", os.path.join(families, "bert"), *options], env=environment(home),
                             capture_output=True, text=True, timeout=30)
        assert run.returncode in (1, 2) and word in run.stderr, (options, run.returncode, run.stderr)


def test_refusals():
    refused(["--host", "0.0.0.0"], "--allow-unauthenticated")
    refused(["--host", "::"], "--allow-unauthenticated")
    refused(["--host", "no.such.host.invalid"], "no.such.host.invalid")
    refused(["--api-key-file", "/nonexistent"], "/nonexistent")
    refused(["-m", "no-such-model"], "no-such-model")
    refused(["--read-timeout", "0"], "--read-timeout")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused(["--port", str(taken.getsockname()[1])], "cannot listen")


def test_browsers():
    with Server("--cors-allow-origin", "https://app.example") as s:
        def status(**headers):
            return s.ask("/v1/embeddings", {"input": "a"}, {k.replace("_", "-"): v for k, v in headers.items()})[0]

        assert status(Origin="https://evil.example") == 403 and status(Origin="null") == 403
        assert status(Origin=f"http://127.0.0.1:{s.port}") == 200 and status(Origin=f"http://localhost:{s.port}") == 200
        assert status(Host="evil.example", User_Agent="Mozilla/5.0") == 403, "DNS rebinding"
        assert status(Host="my-service.internal", User_Agent="python-requests") == 200
        code, _, headers = s.ask("/v1/embeddings", {"input": "a"}, {"Origin": "https://app.example"})
        assert code == 200 and headers["access-control-allow-origin"] == "https://app.example"
        ask = {"Access-Control-Request-Method": "POST"}
        code, _, headers = s.ask("/v1/embeddings", None, {"Origin": "https://app.example", **ask}, method="OPTIONS")
        assert code == 204 and "authorization" in headers["access-control-allow-headers"]
        code, _, headers = s.ask("/v1/embeddings", None, {"Origin": "https://evil.example", **ask}, method="OPTIONS")
        assert code == 403 and "access-control-allow-origin" not in headers


def test_overload_and_fairness():
    small = os.path.join(families, "bert")
    with Server("--max-concurrent-requests", "2", "--threads", "1", "--max-batch-tokens", "128") as s:
        heavy = {"input": ["word " * 200] * 20}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: s.ask("/embed", {"inputs": heavy["input"]}), range(8)))
        codes = [a[0] for a in answers]
        assert codes.count(200) >= 2 and codes.count(429) >= 4 and set(codes) == {200, 429}, codes
        over = next(a for a in answers if a[0] == 429)
        assert over[2]["retry-after"] == "1" and over[1]["error_type"] == "Overloaded"
        assert s.ask("/health")[0] == 200
    with Server("--max-queue-tokens", "2000", "--threads", "1", "--max-batch-tokens", "128") as s:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            codes = [a[0] for a in pool.map(lambda _: s.ask("/v1/embeddings", heavy), range(4))]
        assert 200 in codes and 429 in codes, codes
    # a query does not wait for another client's thousands
    with Server("--threads", "1", "--max-batch-tokens", "256") as s:
        big = threading.Thread(target=s.ask, args=("/v1/embeddings", {"input": ["word " * 200] * 60}))
        big.start()
        time.sleep(0.5)
        start = time.monotonic()
        assert s.ask("/v1/embeddings", {"input": "a"})[0] == 200
        waited = time.monotonic() - start
        assert big.is_alive() and waited < 2, waited
        big.join()
    # nor for the turns of many: counted in passes of the model, since clocks say little on a busy machine
    with Server("--threads", "1", "--max-batch-tokens", "256") as s:
        def figure(name):
            return int(float(next(line.split()[-1] for line in s.metrics().splitlines() if line.startswith(name + "{"))))

        many = [threading.Thread(target=s.ask, args=("/v1/embeddings", {"input": ["word " * 100] * 12})) for _ in range(16)]
        for t in many:
            t.start()
        end = time.monotonic() + 20
        while figure("te_queue_size") < 15 and time.monotonic() < end:
            time.sleep(0.01)
        before = figure("sextant_batches_total")
        assert s.ask("/v1/embeddings", {"input": "word " * 60})[0] == 200
        waited = figure("sextant_batches_total") - before
        assert sum(t.is_alive() for t in many) > 8 and waited <= 6, waited
        for t in many:
            t.join()


def test_poison():
    """Texts that fail beside texts that do not: only those who sent them hear of it."""
    with Server("--max-batch-tokens", "4096") as s:
        def one(i):
            if i % 3 == 0:
                return s.ask("/v1/embeddings", {"input": ["ok", "word " * 2000], "truncate": False})[0] == 400
            if i % 3 == 1:
                return s.ask("/v1/embeddings", b'{"input": "\xff"}')[0] == 400
            return s.ask("/v1/embeddings", {"input": ["ok", f"text {i}"], "truncate": False})[0] == 200

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert all(pool.map(one, range(120)))


def test_models():
    a, b = os.path.join(families, "bert"), os.path.join(families, "mpnet")
    with Server("--idle-unload", "1", models=("first=" + a, "second=" + b)) as s:
        def loaded():
            return {m["id"]: m["loaded"] for m in s.ask("/v1/models")[1]["data"]}

        assert loaded() == {"first": True, "second": False}
        one = s.ask("/v1/embeddings", {"input": "a", "model": "second"})[1]["data"][0]["embedding"]
        assert loaded()["second"] and s.ask("/v1/embeddings", {"input": "a"})[1]["model"] == "first"
        end = time.monotonic() + 10
        while any(loaded().values()) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(loaded().values())
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: s.ask("/v1/embeddings", {"input": "a", "model": "second"}), range(16)))
        assert all(x[0] == 200 and x[1]["data"][0]["embedding"] == one for x in answers)
    # a ceiling below both: one makes room for the other; one that alone is too large is refused
    with Server(models=("first=" + a, "second=" + b)) as s:
        s.ask("/v1/embeddings", {"input": "a", "model": "second"})
        sizes = [int(float(line.split()[-1])) for line in s.metrics().splitlines() if line.startswith("sextant_model_bytes{")]
    with Server("--max-model-memory", str(max(sizes) + 1), models=("first=" + a, "second=" + b)) as s:
        for name in ("second", "first", "second"):
            assert s.ask("/v1/embeddings", {"input": "a", "model": name})[0] == 200
            assert sum(m["loaded"] for m in s.ask("/v1/models")[1]["data"]) == 1


def test_figures():
    with Server() as s:
        s.ask("/v1/embeddings", {"input": ["a", "b"]}, {"x-request-id": "my-id-7"})
        s.ask("/embed", {"inputs": "c"})
        s.ask("/embed", {"inputs": []})
        text = s.metrics()
        for line in ('te_request_count{route="/v1/embeddings",method="POST",model="minilm"} 1', 'te_embed_count{route="/embed",method="POST",model="minilm"} 1',
                     'te_request_failure{err="validation"} 1', 'te_request_duration_bucket{route="/embed",method="POST",model="minilm",le="+Inf"} 1',
                     'te_queue_size{model="minilm"} 0', 'te_batch_next_size{model="minilm"} 1'):
            assert line in text, line
        for count in range(2, 102):  # whoever has read an answer finds it counted
            assert s.ask("/embed", {"inputs": "c"})[0] == 200
            assert f'te_embed_count{{route="/embed",method="POST",model="minilm"}} {count}\n' in s.metrics(), count
        names = set()
        for line in text.splitlines():
            if line.startswith("# TYPE"):
                name = line.split()[2]
                assert name not in names, name
                names.add(name)
            elif not line.startswith("#"):
                float(line.rsplit(" ", 1)[1])
        assert {"te_request_queue_duration", "te_request_inference_duration", "te_request_tokenization_duration", "sextant_tokens_total"} <= names
        status, _, headers = s.ask("/health", None, {"x-request-id": 'bad"id'})
        assert len(headers["x-request-id"]) == 32
        entry = next(e for e in s.logged(lambda all: any(e["id"] == "my-id-7" for e in all)) if e["id"] == "my-id-7")
        assert entry["inputs"] == 2 and entry["tokens"] == 6 and entry["status"] == 200 and entry["path"] == "/v1/embeddings" and entry["ms"] > 0


class Remote(http.server.BaseHTTPRequestHandler):
    """A service of OpenAI's form that counts the texts it is asked for."""
    texts = []

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Remote.texts += given["input"]
        data = [{"object": "embedding", "index": i, "embedding": [1.0, float(len(t)), 0.5, 0.25]} for i, t in enumerate(given["input"])]
        body = json.dumps({"object": "list", "model": given["model"], "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_remote_model_is_paid_once():
    """Vectors of a remote model are kept in the database: asked again, in any company, or after a restart, the service hears nothing."""
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Remote)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        for texts in (["a", "bb", "a"], ["bb", "ccc"], ["ccc", "a"]):
            with Server("--db", folder + "/x.db", models=(f"far=openai@http://127.0.0.1:{service.server_port}/v1#any",)) as s:
                for _ in range(2):
                    status, answer, _ = s.ask("/v1/embeddings", {"input": texts, "receipts": True})
                    assert status == 200 and len(answer["data"]) == len(texts), answer
                assert all(r["cached"] for r in answer["receipts"]), answer
        asked = [t for t in Remote.texts if t not in ("probe", "dimension")]  # which tell the length of its vectors
        assert sorted(asked) == ["a", "bb", "ccc"], asked
    service.shutdown()


def test_unix_socket():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        with Server("--uds-path", path):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                s.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"pong" in s.recv(4096)
        assert not os.path.exists(path)


def test_notify():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(path)
            supervisor.settimeout(20)
            with Server(notify=path, models=("bert=" + os.path.join(families, "bert"),)):
                assert supervisor.recv(100) == b"READY=1"
            assert supervisor.recv(100) == b"STOPPING=1"


def test_sigterm_under_load():
    """Every request is answered, or its connection was refused or closed before a byte of an answer."""
    with Server("--grace", "20") as s:
        outcomes, stop = [], threading.Event()

        def client():
            connection = s.connection()
            while not stop.is_set():
                try:
                    status, body, _ = s.ask("/v1/embeddings", {"input": ["some words here"] * 8}, connection=connection)
                    outcomes.append("answered" if status == 200 and len(body["data"]) == 8 else f"{status} {body}")
                except (http.client.RemoteDisconnected, ConnectionError, http.client.BadStatusLine):
                    outcomes.append("refused")
                    return
                except http.client.IncompleteRead:
                    outcomes.append("cut")
                    return

        threads = [threading.Thread(target=client) for _ in range(12)]
        for t in threads:
            t.start()
        time.sleep(1)
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(30) == 0
        stop.set()
        for t in threads:
            t.join()
        assert set(outcomes) == {"answered", "refused"}, set(outcomes)
        sent = sum(1 for e in s.logged() if e["status"] == 200)
        assert sent == outcomes.count("answered"), (sent, outcomes.count("answered"))
    # work beyond the grace does not hold it up for ever
    with Server("--grace", "0.5", "--threads", "1", "--max-batch-tokens", "256") as s:
        got = []
        big = threading.Thread(target=lambda: got.append(s.ask("/v1/embeddings", {"input": ["word " * 200] * 400})[0]))
        big.start()
        time.sleep(0.5)
        start = time.monotonic()
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(15) == 0 and time.monotonic() - start < 8
        big.join()
        assert got == [503], got


run_tests(globals())
