#!/usr/bin/env python3
"""test_openapi.py SEXTANT: /openapi.json is true. It lists the routes there are; bodies of requests fit it; every answer, to good requests and to
thousands of broken ones made from them, has a status and a body that it describes."""
import copy
import json
import os
import random
import re
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
installer = os.path.join(root, "scripts", "install-python-packages")
sys.path.insert(0, subprocess.run([installer, "openapi"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
import jsonschema

from serving import Server, families, model, run_tests

GOOD = [
    ("/v1/embeddings", {"input": ["a", "b"], "encoding_format": "base64", "receipts": True}), ("/embeddings", {"input": "a", "dimensions": None}),
    ("/openai/deployments/minilm/embeddings", {"input": "a"}), ("/embed", {"inputs": ["a", "b"], "normalize": False}), ("/embed", {"inputs": "a", "receipts": True}),
    ("/embed", {"texts": ["a"], "batch_size": 64}), ("/embed", {"text": "One. " * 900, "chunkSize": 1000}), ("/", {"inputs": "a", "truncate": True}),
    ("/embed/batch", {"texts": ["a", "b"]}), ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}),
    ("/tokenize", {"inputs": ["a b", "c"]}), ("/decode", {"ids": [101, 1037, 102]}), ("/predict", {"inputs": ["a", "b"]}), ("/predict", {"inputs": [["a", "b"]]}),
    ("/rerank", {"query": "a", "texts": ["b", "c"], "return_text": True}), ("/v1/rerank", {"query": "a", "documents": ["b", {"text": "c"}], "return_documents": True}),
    ("/v2/rerank", {"query": "a", "documents": ["b"], "top_n": 1}), ("/api/embed", {"input": ["a"], "model": "minilm"}),
    ("/api/embeddings", {"prompt": "a", "model": "minilm"}), ("/v1/embed", {"texts": ["a"], "input_type": "search_document"}),
    ("/v2/embed", {"texts": ["a"], "embedding_types": ["float", "int8"], "truncate": "END"}),
    ("/v1/collections", {"name": "other", "chunks": {"strategy": "tokens", "size": 64, "overlap": -1}}),
    ("/v1/collections/notes/documents", {"documents": [{"id": "a", "text": "Some text.", "metadata": {"k": [1]}, "media_type": "text/markdown"}]}),
    ("/v1/collections/notes/search", {"query": "text", "count": 3, "mode": "hybrid", "filters": [], "threshold": -1, "join": True}),
    ("/v1/jobs", {"source": "docs"}),
]
GET = ["/", "/v1/models", "/models", "/v1/models/minilm", "/info", "/api/tags", "/api/version", "/v1/collections", "/v1/collections?counts=false", "/v1/collections/notes",
       "/v1/jobs", "/v1/jobs/1", "/v1/status", "/health", "/ready", "/ping", "/metrics", "/openapi.json", "/page/page.css", "/v1/models/nobody", "/v1/collections/nobody", "/v1/jobs/99"]
WRONG = [None, True, -1, 0, 3.5, 1e300, "", " ", "x", "\u0000", [], [None], [[]], {}, {"a": 1}, [1, "a"], "é" * 300]


class Description:
    def __init__(self, description):
        self.whole = description
        self.patterns = [(re.compile("^" + re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(path)) + "$"), path) for path in description["paths"]]

    def operation(self, method, path):
        path = path.split("?")[0]
        name = path if path in self.whole["paths"] else next(name for pattern, name in self.patterns if pattern.match(path))
        return self.whole["paths"][name][method.lower()]

    def check(self, value, schema):
        jsonschema.Draft202012Validator({**schema, "components": self.whole["components"]}).validate(value)

    def answer(self, method, path, status, body, headers):
        responses = self.operation(method, path)["responses"]
        assert str(status) in responses, (method, path, status, body)
        response = responses[str(status)]
        if "$ref" in response:
            response = self.whole["components"]["responses"][response["$ref"].split("/")[-1]]
        kind = headers["content-type"].split(";")[0]
        assert kind in response["content"], (path, status, kind)
        if kind == "application/json":
            self.check(body, response["content"][kind]["schema"])


def server():
    s = Server("--db", "x.db", "--source", "docs=" + os.path.join(here), models=("minilm=" + model, "ranker=" + os.path.join(families, "cross-bert")))
    return s


def test_routes_are_all_there():
    """Those in the tables of the program's source, no more and no fewer."""
    source, routes = os.path.join(root, "src", "server"), set()
    for name in os.listdir(source):
        if name.startswith("routes_"):
            with open(os.path.join(source, name)) as f:
                routes |= {(m.lower(), re.sub(r"\{\w+\*?\}", "{}", p)) for m, p in re.findall(r'\{"(GET|POST|DELETE|PUT)", "([^"]+)", SX_FORM', f.read())}
    with open(os.path.join(source, "page", "openapi.json")) as f:
        told = {(m, re.sub(r"\{\w+\}", "{}", p)) for p, ms in json.load(f)["paths"].items() for m in ms}
    assert routes == told, (routes - told, told - routes)


def test_answers():
    chance = random.Random(7)
    with server() as s:
        description = Description(s.ask("/openapi.json")[1])
        c = s.connection()
        assert s.ask("/v1/collections", {"name": "notes"}, connection=c)[0] == 201
        for path, body in GOOD:
            description.check(body, description.operation("post", path)["requestBody"]["content"]["application/json"]["schema"])
            status, answer, headers = s.ask(path, body, connection=c)
            assert status < 300, (path, body, answer)
            description.answer("post", path, status, answer, headers)
        for path in GET:
            status, answer, headers = s.ask(path, connection=c)
            description.answer("get", path, status, answer, headers)
        for method, path, body in (("DELETE", "/v1/collections/notes/documents/a", None), ("DELETE", "/v1/collections/notes/documents", {"ids": ["x"]}),
                                   ("DELETE", "/v1/jobs/1", None), ("DELETE", "/v1/collections/other", None), ("DELETE", "/v1/collections/other", None)):
            status, answer, headers = s.ask(path, body, method=method, connection=c)
            description.answer(method, path, status, answer, headers)
        seen = set()
        for path, body in GOOD:
            for _ in range(40):
                broken = copy.deepcopy(body)
                key = chance.choice(list(broken))
                choice = chance.randrange(4)
                if choice == 0:
                    del broken[key]
                elif choice == 1 and isinstance(broken[key], list) and broken[key]:
                    broken[key][chance.randrange(len(broken[key]))] = chance.choice(WRONG)
                else:
                    broken[key] = chance.choice(WRONG)
                status, answer, headers = s.ask(path, broken, connection=c)
                seen.add(status)
                assert status != 500, (path, broken, answer)
                try:
                    description.answer("post", path, status, answer, headers)
                except (AssertionError, jsonschema.ValidationError) as e:
                    raise AssertionError((path, broken, status, answer, str(e)[:300]))
            for raw in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' + b"[" * 5000):
                status, answer, headers = s.ask(path, raw, method="POST", connection=c)
                description.answer("post", path, status, answer, headers)
        assert {200, 400, 422} <= seen, seen


run_tests(globals())
