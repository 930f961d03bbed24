"""weaviate_shapes.py URL - asks a Weaviate, or its stand-in, what Sextant asks, and writes the shapes of the answers as JSON: status, keys and types, so
that the stand-in can be held against what a real server answered (tests/fixtures/wire/weaviate.json)."""
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

FIXTURE = os.path.dirname(os.path.abspath(__file__)) + "/../fixtures/wire/weaviate.json"
NAME, NOTHING = "Sextant_shapes", "Sextant_nothing"
UUID = "00000000-0000-4000-8000-00000000000%d"


def thing(number, vector, name=NAME):
    return {"class": name, "id": UUID % number, "vector": vector,
            "properties": {"sextant_id": "r%d" % number, "sextant_text": "a\u0000b", "sextant_filters": ['"kind":"a b"', '"n":1']}}


def graph(text):
    return "POST", "/v1/graphql", {"query": text}


def deletion(name):
    return {"output": "minimal", "match": {"class": name, "where": {"path": ["id"], "operator": "ContainsAny", "valueTextArray": [UUID % 1, UUID % 9]}}}


def property_of(name, kind="text", filterable=False):
    return {"name": name, "dataType": [kind], "indexFilterable": filterable, "indexSearchable": False, "tokenization": "field"}


def requests():
    made = {"class": NAME, "description": '{"sextant":{}}', "vectorizer": "none", "vectorIndexType": "hnsw",
            "vectorIndexConfig": {"distance": "l2-squared", "maxConnections": 16, "efConstruction": 128, "ef": 96},
            "properties": [property_of("sextant_id"), property_of("sextant_text"), property_of("sextant_document"), property_of("sextant_metadata"),
                           property_of("sextant_filters", "text[]", True)]}
    near = "nearVector:{vector:%s}"
    where = ',where:{operator:And,operands:[{path:["sextant_filters"],operator:Equal,valueText:"\\"n\\":%s"}]}'
    yield "GET", "/v1/schema/" + NAME, None
    yield "POST", "/v1/schema", made
    yield "POST", "/v1/schema", made
    yield "POST", "/v1/schema", dict(made, **{"class": NAME.upper().replace("SEXTANT", "Sextant")})
    yield "POST", "/v1/schema", dict(made, **{"class": "no class"})
    yield "GET", "/v1/schema/" + NAME, None
    yield "GET", "/v1/objects?limit=1&include=vector&class=" + NAME, None
    yield "POST", "/v1/batch/objects", {"objects": [thing(i, [0.5 + i, 0.25, -1]) for i in range(3)]}
    yield "POST", "/v1/batch/objects", {"objects": [thing(4, [1, 2]), thing(5, [1, 2, 3])]}
    yield "POST", "/v1/batch/objects", {"objects": [thing(4, [1, 2], NOTHING)]}
    yield "GET", "/v1/objects?include=vector&class=%s&limit=2&after=" % NAME, None
    yield "GET", "/v1/objects?include=vector&class=%s&limit=2&after=%s" % (NAME, UUID % 1), None
    yield "GET", "/v1/objects?include=vector&class=%s&limit=2&after=%s" % (NAME, UUID % 9), None
    yield "GET", "/v1/objects/%s/%s" % (NAME, UUID % 1), None
    yield "GET", "/v1/objects/%s/%s" % (NAME, UUID % 9), None
    yield graph("{Aggregate{%s{meta{count}}}}" % NAME)
    yield graph("{Get{%s(limit:2,%s){sextant_id sextant_document _additional{id distance}}}}" % (NAME, near % "[0.75,0.5,-2e-05]"))
    yield graph("{Get{%s(limit:2,%s%s){sextant_id _additional{id distance}}}}" % (NAME, near % "[0.75,2,2.5]", where % "1"))
    yield graph("{Get{%s(limit:2,%s%s){sextant_id _additional{id distance}}}}" % (NAME, near % "[0.75,2,2.5]", where % "2"))
    yield graph("{Get{%s(limit:2,%s){sextant_id}}}" % (NAME, near % "[1,2]"))
    yield graph('{Get{%s(limit:3,where:{path:["id"],operator:ContainsAny,valueText:["%s","%s"]}){_additional{id}}}}' % (NAME, UUID % 1, UUID % 9))
    yield "DELETE", "/v1/batch/objects", deletion(NAME)
    yield "DELETE", "/v1/batch/objects", deletion(NAME)
    yield "DELETE", "/v1/schema/" + NOTHING, None
    yield "DELETE", "/v1/schema/" + NAME, None
    yield "DELETE", "/v1/schema/" + NAME, None
    yield graph("{Aggregate{%s{meta{count}}}}" % NAME)


def shape(value, key=""):
    """Types in place of values, but for what is decided by: short words, booleans and counts."""
    if isinstance(value, dict):
        return {name: shape(one, name) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [shape(one) for one in value] if not value or isinstance(value[0], (dict, list)) else "list of " + type(value[0]).__name__
    if key in ("status", "count", "matches", "successful", "failed", "distance", "id", "class") and isinstance(value, (int, float, str)):
        return value if isinstance(value, str) else round(float(value), 4)
    return type(value).__name__


# What a server says of its own, and a stand-in need not: settings beside those that were given, and where in a query a mistake is.
LEFT_OUT = {"invertedIndexConfig", "multiTenancyConfig", "replicationConfig", "shardingConfig", "moduleConfig", "locations", "path", "objectTTLConfig"}


def without(value):
    if isinstance(value, dict):
        value = {name: without(one) for name, one in value.items() if name not in LEFT_OUT}
        if "maxConnections" in value:
            value = {name: one for name, one in value.items() if name in ("distance", "maxConnections", "efConstruction", "ef")}
        if "tokenization" in value:
            value = {name: one for name, one in value.items() if name in ("name", "dataType", "tokenization")}
        return value
    return [without(one) for one in value] if isinstance(value, list) else value


def ask(url):
    shapes = []
    for method, path, body in requests():
        request = urllib.request.Request(url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json", "Authorization": "Bearer sesame"})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                code, text = reply.status, reply.read()
        except urllib.error.HTTPError as problem:
            code, text = problem.code, problem.read()
        shapes.append({"request": [method, path, body], "code": code, "answer": without(shape(json.loads(text))) if text.strip() else None})
    return shapes


def same_shapes(words, fixture, record=False):
    """Runs this program by `words`, and compares what it writes with the fixture, or records it there."""
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if record:
        with open(fixture, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(one, sort_keys=True) for one in found) + "\n]\n")
    wanted = json.load(open(fixture))
    same = len(found) == len(wanted)
    for ours, theirs in zip(found, wanted):
        if ours != theirs:
            print("FAILED: %s: %s\n    recorded: %s" % (json.dumps(ours["request"])[:160], *(json.dumps([one["code"], one["answer"]]) for one in (ours, theirs))))
            same = False
    print("%d answers have the recorded shapes" % len(found) if same else "the answers have other shapes")
    return same


def form(request):
    """Method and path without names, and the members of the body."""
    path = re.sub(r"/(objects|schema)/[^?]*", r"/\1/NAME", re.sub(r"\?.*", "", request["path"]))
    body = request["body"] or {}
    return request["method"], path, tuple(sorted(body))


if __name__ == "__main__":
    json.dump(ask(sys.argv[1]), sys.stdout)
