"""qdrant_stand_in.py PORT [OPTIONS of stand_in.py] - answers Qdrant's REST API out of the official Python client: its models, which refuse every field they do not know, and its
local mode, which does what a server does, in memory. No real server can be had where these tests run; this is as near as it gets."""
import json
import os
import re
import sys
import urllib.parse

from pydantic import TypeAdapter
from qdrant_client import models
from qdrant_client.local.qdrant_local import QdrantLocal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stand_in  # noqa: E402

local = QdrantLocal(":memory:")
aliases_made = {}


def Refused(code, message):
    return stand_in.Refused(code, {"status": {"error": message}, "time": 0.001})


def read(model, body, **also):
    return TypeAdapter(model).validate_python(body)


def need(name):
    if not local.collection_exists(name):
        raise Refused(404, "Not found: Collection `%s` doesn't exist!" % name)


def done():
    return {"operation_id": 0, "status": "completed"}


def create(name, body):
    wanted = read(models.CreateCollection, body)
    if local.collection_exists(name):
        raise Refused(409, "Wrong input: Collection `%s` already exists!" % name)
    if not re.fullmatch(r'[^<>:"/\\|?*\x00-\x1f]{1,255}', name):
        raise Refused(422, "Validation error in path parameters: [name: invalid]")
    local.create_collection(name, vectors_config=wanted.vectors, metadata=wanted.metadata)
    configured[name] = body
    return True


configured = {}


def describe(name):
    name = aliases_made.get(name, name)
    need(name)
    body = configured[name]
    config = {"params": {"vectors": body["vectors"], "shard_number": 1, "on_disk_payload": True}, "hnsw_config": body["hnsw_config"],
              "optimizer_config": {}, "wal_config": None, "quantization_config": None}
    if "metadata" in body:
        config["metadata"] = body["metadata"]
    return {"status": "green", "optimizer_status": "ok", "points_count": local.count(name).count, "segments_count": 1, "config": config, "payload_schema": {}}


def upsert(name, body):
    wanted = read(models.PointsList, body)
    for point in wanted.points:
        sizes = {key: value["size"] for key, value in configured[name]["vectors"].items()}
        for key, vector in point.vector.items():
            if sizes.get(key) != len(vector):
                raise Refused(400, "Wrong input: Vector dimension error: expected dim: %s, got %d" % (sizes.get(key), len(vector)))
    local.upsert(name, wanted.points)
    return done()


def query(name, body):
    wanted = read(models.QueryRequest, body)
    nearest = wanted.query.nearest
    found = local.query_points(name, query=nearest, using=wanted.using, query_filter=wanted.filter, limit=wanted.limit, with_payload=wanted.with_payload,
                               with_vectors=wanted.with_vector, score_threshold=wanted.score_threshold)
    return {"points": [dict(json.loads(point.model_dump_json()), version=0) for point in found.points]}


def scroll(name, body):
    wanted = read(models.ScrollRequest, body)
    points, following = local.scroll(name, scroll_filter=wanted.filter, limit=wanted.limit, offset=wanted.offset, with_payload=wanted.with_payload,
                                     with_vectors=wanted.with_vector)
    return {"points": [json.loads(point.model_dump_json()) for point in points], "next_page_offset": following}


def retrieve(name, body):
    wanted = read(models.PointRequest, body)
    return [json.loads(point.model_dump_json()) for point in local.retrieve(name, wanted.ids, wanted.with_payload, wanted.with_vector)]


def delete(name, body):
    wanted = read(models.PointsSelector, body)
    local.delete(name, points_selector=wanted)
    return done()


def count(name, body):
    return {"count": local.count(name, exact=read(models.CountRequest, body).exact).count}


def index(name, body):
    wanted = read(models.CreateFieldIndex, body)
    local.create_payload_index(name, wanted.field_name, wanted.field_schema)
    return done()


def change_aliases(body):
    for action in read(models.ChangeAliasesOperation, body).actions:
        if isinstance(action, models.CreateAliasOperation):
            need(action.create_alias.collection_name)
            aliases_made[action.create_alias.alias_name] = action.create_alias.collection_name
        else:
            aliases_made.pop(action.delete_alias.alias_name, None)
    return True


def answer(method, path, wait, body):
    parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
    if parts == ["collections", "aliases"] and method == "POST":
        return change_aliases(body)
    if parts[0] != "collections" or len(parts) < 2:
        raise Refused(404, "no such path")
    name, rest = parts[1], "/".join(parts[2:])
    if (method, rest) == ("PUT", ""):
        return create(name, body)
    if (method, rest) == ("GET", ""):
        return describe(name)
    if (method, rest) == ("DELETE", ""):
        configured.pop(name, None)
        return local.delete_collection(name)
    name = aliases_made.get(name, name)
    need(name)
    calls = {("PUT", "index"): index, ("PUT", "points"): upsert, ("POST", "points/query"): query, ("POST", "points/scroll"): scroll,
             ("POST", "points"): retrieve, ("POST", "points/delete"): delete, ("POST", "points/count"): count}
    if (method, rest) not in calls:
        raise Refused(404, "no such path")
    if calls[method, rest] in (index, upsert, delete) and not wait:
        raise Refused(400, "the tests want wait=true")
    return calls[method, rest](name, body)


class Qdrant:
    denied = 403, {"status": {"error": "forbidden: invalid api-key"}, "time": 0.001}

    def has_key(self, headers):
        return headers.get("api-key") == stand_in.KEY

    def changes(self, method, path):
        return method in ("PUT", "DELETE") or path.endswith(("/points/delete", "/aliases"))

    def answer(self, method, path, query, body, host):
        try:
            return 200, {"result": answer(method, path, query.get("wait") == ["true"], body), "status": "ok", "time": 0.001}
        except stand_in.Refused:
            raise
        except Exception as problem:  # a form that the client's models do not have
            raise Refused(400, "Format error in JSON body: %s" % problem)


stand_in.serve(Qdrant())
