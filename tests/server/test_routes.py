#!/usr/bin/env python3
"""test_routes.py SEXTANT [TEST...]: what clients send and what they get, API by API; the same bits as `sextant embed`; errors in each API's form."""
import base64
import concurrent.futures
import json
import os
import random
import struct

from serving import Server, embed_cli, families, run_tests

TEXTS = ["How do neural networks learn?", "The cat sat on the mat.", "naïve café — 日本語 🎉", 'quotes " and \\ and \n lines', "x"]
LONG = "A very long text about nothing at all. " * 200


def f32(values):
    return struct.pack(f"<{len(values)}f", *values)


def close(a, b, within=1e-5):
    return len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < within


def test_openai():
    want = embed_cli(TEXTS)
    with Server() as s:
        status, body, headers = s.ask("/v1/embeddings", {"input": TEXTS, "model": "minilm", "encoding_format": "float", "user": "u"})
        assert status == 200 and body["object"] == "list" and body["model"] == "minilm", body
        assert [d["embedding"] for d in body["data"]] == want, "not the same decimal numbers as sextant embed"
        assert [d["index"] for d in body["data"]] == list(range(5)) and {d["object"] for d in body["data"]} == {"embedding"}
        assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 20 and "receipts" not in body
        status, b64, _ = s.ask("/embeddings", {"input": TEXTS, "model": "minilm", "encoding_format": "base64"})
        assert [base64.b64decode(d["embedding"]) for d in b64["data"]] == [f32(v) for v in want]
        assert s.ask("/openai/deployments/minilm/embeddings?api-version=2024-10-21", {"input": TEXTS[0]})[1]["data"][0]["embedding"] == want[0]
        one = s.ask("/v1/embeddings", {"input": TEXTS[0]})[1]
        assert one["data"][0]["embedding"] == want[0]
        short = s.ask("/v1/embeddings", {"input": TEXTS, "dimensions": 64})[1]
        assert [d["embedding"] for d in short["data"]] == embed_cli(TEXTS, "--dimensions", "64")
        # Voyage's client
        status, body, _ = s.ask("/v1/embeddings", {"input": ["a"], "model": "minilm", "input_type": "document", "truncation": True,
                                                   "output_dtype": None, "output_dimension": None, "encoding_format": "base64"})
        assert status == 200 and len(base64.b64decode(body["data"][0]["embedding"])) == 1536
        # truncation is said; receipts on demand
        status, body, headers = s.ask("/v1/embeddings", {"input": [LONG, "x"], "receipts": True})
        assert status == 200 and headers["x-sextant-truncated"] == "1" and int(headers["x-sextant-dropped-tokens"]) > 1000
        assert [r["truncated"] for r in body["receipts"]] == [True, False] and body["receipts"][1]["tokens"] == 3
        models = s.ask("/v1/models")[1]
        assert models["object"] == "list" and models["data"][0]["id"] == "minilm"
        assert s.ask("/v1/models/minilm")[1]["id"] == "minilm" and s.ask("/v1/models/other")[0] == 404
        for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "MINILM", "minilm:latest", "minilm-query", "minilm-passage"):
            assert s.ask("/v1/embeddings", {"input": TEXTS[0], "model": name})[1]["data"][0]["embedding"] == want[0], name


OPENAI_ERRORS = [
    ({"input": ""}, "input"), ({"input": []}, "input"), ({"input": ["a", " "]}, "input"), ({"model": "minilm"}, "input"), ({"input": 3}, None),
    ({"input": {"a": 1}}, None), ({"input": [1.5]}, None), ({"input": ["a", 1]}, None), ({"input": [1, "a"]}, None), ({"input": [[1], "a"]}, None),
    ({"input": None}, None), ({"input": "a", "encoding_format": "hex"}, "encoding_format"), ({"input": "a", "dimensions": 0}, None),
    ({"input": "a", "dimensions": 385}, "dimensions"), ({"input": "a", "dimensions": "64"}, None), ({"input": "a", "model": 7}, None),
    ({"input": "a", "input_type": "nothing-of-the-kind"}, "prompt_name"), ({"input": [1, 2, 3]}, "input"), ({"input": [[1, 2], []]}, "input"),
    ({"input": LONG, "truncate": False}, "input"), ({"input": "a", "output_dtype": "int8"}, None), ([], None), ("text", None), (7, None), (None, None),
]
BROKEN = [b"", b"{", b'{"input"', b'{"input": [1,', b'{"input":"a"} x', b"\xff\xfe", b'{"input":"\xff"}', b'{"input":"\\ud800"}', b"[" * 100000,
          b'{"input":' + b"[" * 1000, b'{"a":' * 500, b'{"input":NaN}', b"{'input':'a'}", b'{"input":"a",}', b'{"input":"a\x01"}',
          b'{"input":[1e999]}', b'{"input":[-1]}', b'{"input":[99999999999]}', b"\xef\xbb\xbf{}", b'{"input":"a"}\x00', b'{"input":"a","input":"b"}']


def test_errors():
    with Server("--max-client-batch-size", "100") as s:
        for body, param in OPENAI_ERRORS:
            status, error, _ = s.ask("/v1/embeddings", json.dumps(body).encode())
            assert status == 400 and set(error["error"]) == {"message", "type", "param", "code"}, (body, status, error)
            assert error["error"]["type"] == "invalid_request_error" and error["error"]["param"] == param, (body, error)
        for raw in BROKEN:
            for path, check in (("/v1/embeddings", lambda e: e["error"]["type"] == "invalid_request_error"),
                                ("/embed", lambda e: e["error_type"] in ("Validation", "Tokenizer", "Empty")),
                                ("/tokenize", lambda e: e["error_type"] == "Validation"), ("/similarity", lambda e: e["error_type"]),
                                ("/api/embed", lambda e: isinstance(e["error"], str)), ("/v2/embed", lambda e: isinstance(e["message"], str)),
                                ("/embed/batch", lambda e: isinstance(e["error"], str))):
                if raw == b'{"input":"a","input":"b"}' and path not in ("/v1/embeddings", "/api/embed"):
                    continue
                status, error, _ = s.ask(path, raw.replace(b"input", {"/v1/embeddings": b"input", "/api/embed": b"input"}.get(path, b"inputs")))
                assert 400 <= status < 500 and check(error), (path, raw[:40], status, error)
        assert s.ask("/v1/embeddings", {"input": ["a"] * 101})[0] == 413
        assert s.ask("/embed", {"inputs": ["a"] * 101})[0] == 422
        status, error, _ = s.ask("/v1/embeddings", {"input": "a", "model": "text-embedding-3-small"})
        assert status == 404 and error["error"]["code"] == "model_not_found" and "--any-model-name" in error["error"]["message"]
        assert s.ask("/v1/embeddings", {"input": LONG, "truncate": False})[1]["error"]["code"] == "context_length_exceeded"
        assert s.ask("/v1/nothing")[1]["error"]["code"] == "unknown_url"
        status, _, headers = s.ask("/embed")
        assert status == 405 and headers["allow"] == "POST"
    with Server("--any-model-name", "--no-auto-truncate") as s:
        assert s.ask("/v1/embeddings", {"input": "a", "model": "text-embedding-3-small"})[0] == 200
        assert s.ask("/v1/embeddings", {"input": LONG})[0] == 400 and s.ask("/v1/embeddings", {"input": LONG, "truncate": True})[0] == 200
        assert s.ask("/embed", {"inputs": LONG})[0] == 422 and s.ask("/embed", {"inputs": LONG, "truncate": True})[0] == 200
        assert s.ask("/api/embed", {"input": LONG})[0] == 200 and s.ask("/api/embed", {"input": LONG, "truncate": False})[0] == 400


def test_token_ids():
    want = embed_cli(TEXTS)
    with Server("--token-ids", "model") as s:
        tokens = s.ask("/tokenize", {"inputs": TEXTS})[1]
        whole = [[t["id"] for t in row] for row in tokens]
        bare = [row[1:-1] for row in whole]
        for ids in (whole, bare):
            assert [d["embedding"] for d in s.ask("/v1/embeddings", {"input": ids})[1]["data"]] == want
        assert s.ask("/v1/embeddings", {"input": bare[0]})[1]["data"][0]["embedding"] == want[0]
        assert s.ask("/v1/embeddings", {"input": [[4000000]]})[0] == 400
        status, _, headers = s.ask("/v1/embeddings", {"input": [bare[0] * 100]})
        assert status == 200 and headers["x-sextant-truncated"] == "1"
        assert s.ask("/v1/embeddings", {"input": [bare[0] * 100], "truncate": False})[0] == 400
    with Server() as s:
        status, error, _ = s.ask("/v1/embeddings", {"input": [[1, 2]]})
        assert status == 400 and "--token-ids" in error["error"]["message"] and "check_embedding_ctx_length" in error["error"]["message"]
        assert s.ask("/embed", {"inputs": [bare[0]], "normalize": True})[1] == [want[0]]
    ranks = os.environ.get("SX_TEST_OPENAI_RANKS")
    if not ranks or not os.path.exists(os.path.join(ranks, "cl100k_base.tiktoken")):
        print("SX_TEST_OPENAI_RANKS is not set: cl100k is not tried")
        return
    with Server("--token-ids", "cl100k") as s:
        # cl100k_base: "How do neural networks learn?", "x"
        ids = [[4438, 656, 30828, 14488, 4048, 30], [87]]
        assert [d["embedding"] for d in s.ask("/v1/embeddings", {"input": ids})[1]["data"]] == [want[0], want[4]]
        assert s.ask("/v1/embeddings", {"input": [[99999999]]})[0] == 400


def test_tei():
    want = embed_cli(TEXTS)
    with Server() as s:
        status, rows, headers = s.ask("/embed", {"inputs": TEXTS, "truncate": True})
        assert status == 200 and rows == want
        for name in ("compute-type", "compute-time", "compute-characters", "compute-tokens", "total-time", "tokenization-time", "queue-time",
                     "inference-time"):
            assert "x-" + name in headers, name
        assert headers["x-compute-characters"] == str(sum(len(t) for t in TEXTS))
        assert s.ask("/", {"inputs": TEXTS[0], "normalize": True, "truncate": True})[1] == [want[0]]
        assert s.ask("/embed", {"inputs": TEXTS[0], "dimensions": 32})[1] == embed_cli([TEXTS[0]], "--dimensions", "32")
        assert s.ask("/embed", {"inputs": TEXTS[0], "normalize": False})[1] == embed_cli([TEXTS[0]], "--no-normalize")
        assert s.ask("/embed", {"inputs": TEXTS[0], "truncation_direction": "Left"})[0] == 422
        assert s.ask("/embed", {"inputs": ["a"], "receipts": True})[1]["receipts"][0]["tokens"] == 3
        tokens = s.ask("/tokenize", {"inputs": "Hello, café!"})[1][0]
        assert tokens[0] == {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None}
        assert [(t["text"], t["start"], t["stop"]) for t in tokens[1:-1]] == [("Hello", 0, 5), (",", 5, 6), ("café", 7, 12), ("!", 12, 13)]
        assert len(s.ask("/tokenize", {"inputs": "Hello", "add_special_tokens": False})[1][0]) == 1
        ids = [t["id"] for t in tokens]
        assert s.ask("/decode", {"ids": ids})[1] == ["hello, cafe!"]
        assert s.ask("/decode", {"ids": [ids, ids], "skip_special_tokens": False})[1] == ["[CLS] hello, cafe! [SEP]"] * 2
        pair = {"inputs": {"source_sentence": "a dog", "sentences": ["a puppy", "a tax form"]}}
        near, far = s.ask("/similarity", pair)[1]
        assert near > far + 0.2
        info = s.ask("/info")[1]
        assert info["model_id"] == "minilm" and info["max_input_length"] == 256 and "embedding" in info["model_type"]
        assert s.ask("/embed_sparse", {"inputs": "a"})[0] == 422
        assert s.ask("/health")[1]["status"] == "healthy" and s.ask("/ping")[1] == b"pong" and s.ask("/ready")[0] == 200


def test_token_outputs():
    folder = os.path.join(families, "bge-m3")
    with Server(models=["m3=" + folder]) as s:
        sparse = s.ask("/embed_sparse", {"inputs": ["one two", "three"]})[1]
        assert len(sparse) == 2 and set(sparse[0][0]) == {"index", "value"}
        multi = s.ask("/embed_all", {"inputs": ["one two"]})[1]
        assert len(multi) == 1 and len(multi[0]) > 1 and len({len(v) for v in multi[0]}) == 1


def test_ollama_cohere_seeds():
    want = embed_cli(TEXTS)
    with Server() as s:
        body = s.ask("/api/embed", {"model": "minilm", "input": TEXTS, "options": {}, "keep_alive": "5m"})[1]
        assert body["embeddings"] == want and body["model"] == "minilm" and body["prompt_eval_count"] > 20 and body["total_duration"] > 0
        assert s.ask("/api/embed", {"model": "minilm", "input": TEXTS[0]})[1]["embeddings"] == [want[0]]
        assert s.ask("/api/embed", {"model": "minilm", "input": []})[1]["embeddings"] == []
        assert s.ask("/api/embeddings", {"model": "minilm", "prompt": TEXTS[0]})[1] == {"embedding": want[0]}
        assert s.ask("/api/tags")[1]["models"][0]["name"] == "minilm" and s.ask("/api/version")[1]["version"]
        assert s.ask("/api/embed", {"model": "no", "input": "a"})[0] == 404
        v1 = s.ask("/v1/embed", {"texts": TEXTS, "model": "minilm", "input_type": "search_document"})[1]
        assert v1["embeddings"] == want and v1["response_type"] == "embeddings_floats" and v1["texts"] == TEXTS
        v2 = s.ask("/v2/embed", {"texts": ["a"], "model": "minilm", "input_type": "search_query",
                                 "embedding_types": ["float", "int8", "uint8", "binary", "ubinary", "base64"]})[1]["embeddings"]
        row = v2["float"][0]
        assert v2["int8"][0] == [round(x * 127) for x in row] and v2["uint8"][0] == [x + 128 for x in v2["int8"][0]]
        bits = [sum((row[8 * i + j] > 0) << (7 - j) for j in range(8)) for i in range(48)]
        assert v2["ubinary"][0] == bits and v2["binary"][0] == [b - 128 for b in bits]
        assert base64.b64decode(v2["base64"][0]) == f32(row)
        assert s.ask("/v2/embed", {"inputs": [{"content": [{"type": "text", "text": TEXTS[0]}]}]})[1]["embeddings"]["float"] == [want[0]]
        assert s.ask("/v2/embed", {"texts": ["a"], "truncate": "START"})[0] == 400 and s.ask("/v2/embed", {"texts": [LONG], "truncate": "NONE"})[0] == 400
        # the services of the seeds
        assert s.ask("/embed", {"texts": TEXTS, "batch_size": 64})[1] == {"embeddings": want, "model": "minilm", "dimension": 384}
        body = s.ask("/embed", {"text": "One. " * 900, "chunkSize": 1000})[1]
        assert body["success"] is True and body["totalChunks"] == len(body["chunks"]) > 1
        assert all(len(c["text"]) <= 1000 and len(c["embedding"]) == 384 and c["tokenCount"] > 2 for c in body["chunks"])
        assert [c["embedding"] for c in body["chunks"]] == embed_cli([c["text"] for c in body["chunks"]])
        body = s.ask("/embed/batch", {"texts": TEXTS})[1]
        assert body["success"] is True and [e["embedding"] for e in body["embeddings"]] == want and [e["text"] for e in body["embeddings"]] == TEXTS
        for path, wrong in (("/embed", {"text": ""}), ("/embed", {"text": 1}), ("/embed", {"texts": []}), ("/embed", {"texts": "no"}),
                            ("/embed/batch", {}), ("/embed", {"text": "a", "chunkSize": 0})):
            status, error, _ = s.ask(path, wrong)
            if wrong != {"texts": "no"}:
                assert status == 400 and isinstance(error["error"], str), (path, wrong, status, error)


def test_same_bits_in_any_company():
    """Many clients at once, batches of all sizes, other options beside them: each text has one vector."""
    dice = random.Random(7)
    texts = [" ".join(dice.choice("alpha beta gamma delta epsilon zeta eta theta".split()) for _ in range(dice.randint(1, 60))) for _ in range(60)]
    want = dict(zip(texts, embed_cli(texts)))
    with Server("--max-batch-tokens", "512") as s:
        def client(seed):
            own = random.Random(seed)
            connection = s.connection()
            for _ in range(5):
                mine = own.sample(texts, own.choice((1, 1, 2, 7, 30)))
                if own.random() < 0.3:
                    s.ask("/v1/embeddings", {"input": mine, "dimensions": 16, "truncate": own.random() < 0.5}, connection=connection)
                body = s.ask("/v1/embeddings", {"input": mine}, connection=connection)[1]
                assert [d["embedding"] for d in body["data"]] == [want[t] for t in mine]
            connection.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(client, range(8)))
        body = s.ask("/v1/embeddings", {"input": [texts[i % 60] for i in range(500)]})[1]
        assert [d["embedding"] for d in body["data"]] == [want[texts[i % 60]] for i in range(500)]


run_tests(globals())
