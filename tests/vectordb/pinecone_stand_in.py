"""pinecone_stand_in.py PORT [OPTIONS of stand_in.py] - answers the part of Pinecone's REST API that Sextant uses, by its published interface of version 2025-04:
an index is not ready at once, has a host of its own (NAME.localhost), takes 1,000 vectors and 2 MB in a request and 40 KB of metadata a record, lists ids in
pages of 100. With --host HOST its indexes say that they are there. It is no Pinecone, and the service was not tried."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in import KEY, Refused, nearest, option, serve  # noqa: E402

KINDS = {"cosine": "cosine", "dotproduct": "dot", "euclidean": "l2"}
PORT = int(sys.argv[1])


def refuse_index(status, code, message):
    raise Refused(status, {"error": {"code": code, "message": message}, "status": status})


def refuse(code, message):
    raise Refused(400, {"code": code, "message": message, "details": []})


class Pinecone:
    denied = 401, {"error": {"code": "UNAUTHENTICATED", "message": "Invalid API key."}, "status": 401}

    def __init__(self):
        self.indexes, self.vectors, self.looked_up, self.ready = {}, {}, {}, False

    def has_key(self, headers):
        return headers.get("Api-Key") == KEY and headers.get("X-Pinecone-Api-Version") == "2025-04"

    def changes(self, method, path):
        return path in ("/indexes", "/vectors/upsert", "/vectors/delete") or method == "DELETE"

    def answer(self, method, path, query, body, host):
        name = host.split(".")[0] if ".localhost" in host else None
        if name is None:
            return self.control(method, path.strip("/").split("/"), body)
        if name not in self.indexes:
            raise Refused(404, {"code": 5, "message": "index not found", "details": []})
        calls = {("POST", "/vectors/upsert"): self.upsert, ("POST", "/vectors/delete"): self.delete, ("POST", "/query"): self.query,
                 ("GET", "/vectors/fetch"): self.fetch, ("GET", "/vectors/list"): self.list, ("POST", "/describe_index_stats"): self.stats}
        if (method, path) not in calls:
            raise Refused(404, {"code": 5, "message": "no such path", "details": []})
        return 200, calls[method, path](self.indexes[name], self.vectors[name], query if method == "GET" else body)

    def control(self, method, parts, body):
        if (method, parts) == ("POST", ["indexes"]):
            return self.create(body)
        if parts[0] != "indexes" or len(parts) != 2:
            raise Refused(404, None)
        if parts[1] not in self.indexes:
            if method == "DELETE" and not self.ready:
                return 202, None
            refuse_index(404, "NOT_FOUND", "Resource %s not found" % parts[1])
        if method == "DELETE":
            del self.indexes[parts[1]], self.vectors[parts[1]]
            return 202, None
        self.looked_up[parts[1]] = self.looked_up.get(parts[1], 0) + 1
        ready = self.looked_up[parts[1]] % 50 != 0
        return 200, dict(self.indexes[parts[1]], status={"ready": ready, "state": "Ready" if ready else "Initializing"})

    def create(self, wanted):
        name = wanted["name"]
        unknown = set(wanted) - {"name", "dimension", "metric", "vector_type", "deletion_protection", "spec", "tags"}
        if unknown or not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?", name):
            refuse_index(400, "INVALID_ARGUMENT", "Name must consist of lower case alphanumeric characters or '-', and must start and end with one")
        if set(wanted["spec"]) != {"serverless"} or wanted["metric"] not in KINDS or not 1 <= wanted["dimension"] <= 20000:
            refuse_index(422, "UNPROCESSABLE_ENTITY", "no such index can be made")
        for key, value in wanted["tags"].items():
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", key) or not re.fullmatch(r"[A-Za-z0-9;@_.+ -]{0,120}", value):
                refuse_index(400, "INVALID_ARGUMENT", "tag %s" % key)
        if name in self.indexes:
            refuse_index(409, "ALREADY_EXISTS", "Resource already exists.")
        self.indexes[name] = dict(wanted, host=option("--host") or "%s.localhost:%d" % (name, PORT))
        self.vectors[name] = {}
        return 201, dict(self.indexes[name], status={"ready": False, "state": "Initializing"})

    def upsert(self, index, vectors, body):
        if len(body["vectors"]) > 1000 or len(json.dumps(body)) > 2 << 20:
            refuse(11, "Request size exceeds the limit")
        for one in body["vectors"]:
            if len(one["values"]) != index["dimension"]:
                refuse(3, "Vector dimension %d does not match the dimension of the index %d" % (len(one["values"]), index["dimension"]))
            if len(json.dumps(one["metadata"], ensure_ascii=False, separators=(",", ":")).encode()) > 40960:
                refuse(3, "metadata size exceeds the limit of 40960 bytes per vector")
            for key, value in one["metadata"].items():
                if key.startswith("$") or not isinstance(value, (str, int, float, bool)):
                    refuse(3, "Metadata value must be a string, number, boolean or list of strings, got %s for field %s" % (value, key))
        for one in body["vectors"]:
            vectors[one["id"]] = one
        return {"upsertedCount": len(body["vectors"])}

    def delete(self, index, vectors, body):
        if not 1 <= len(body["ids"]) <= 1000:
            refuse(3, "ids: 1 to 1000")
        for one in body["ids"]:
            vectors.pop(one, None)
        return {}

    def fetch(self, index, vectors, query):
        return {"vectors": {one: vectors[one] for one in query["ids"] if one in vectors}, "namespace": "", "usage": {"readUnits": 1}}

    def list(self, index, vectors, query):
        after, limit = query.get("paginationToken", [""])[0], int(query["limit"][0])
        ids = [one for one in sorted(vectors) if one > after]
        reply = {"vectors": [{"id": one} for one in ids[:limit]], "namespace": "", "usage": {"readUnits": 1}}
        return dict(reply, pagination={"next": ids[limit - 1]}) if len(ids) > limit else reply

    def stats(self, index, vectors, body):
        return {"namespaces": {"__default__": {"vectorCount": len(vectors)}} if vectors else {}, "dimension": index["dimension"], "indexFullness": 0,
                "totalVectorCount": len(vectors), "metric": index["metric"], "vectorType": "dense"}

    def passes(self, one, filters):
        for part in filters["$and"] if filters else []:
            (key, test), = part.items()
            value, wanted = one["metadata"].get(key), test["$eq"]
            if isinstance(value, bool) != isinstance(wanted, bool) or isinstance(value, str) != isinstance(wanted, str) or value != wanted:
                return False
        return True

    def query(self, index, vectors, body):
        unknown = set(body) - {"vector", "topK", "includeValues", "includeMetadata", "filter"}
        if unknown or not 1 <= body["topK"] <= 10000 or len(body["vector"]) != index["dimension"]:
            refuse(3, "Query vector dimension or topK, or unknown %s" % unknown)
        kind = KINDS[index["metric"]]
        best = nearest(kind, body["vector"], ((key, one["values"]) for key, one in vectors.items() if self.passes(one, body.get("filter"))), body["topK"])
        return {"results": [], "namespace": "", "usage": {"readUnits": 5},
                "matches": [dict({"id": key, "score": -value if kind == "l2" else value, "values": []},
                                 **({"metadata": vectors[key]["metadata"]} if body["includeMetadata"] else {})) for value, key in best]}


serve(Pinecone())
