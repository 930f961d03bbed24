"""milvus_stand_in.py PORT [OPTIONS of stand_in.py] - answers the part of Milvus's REST API (v2) that Sextant uses, by its documentation and the sources of its
handlers: everything is POST and answered 200, what went wrong is a code in the answer; strings have a greatest length; a query without a limit gives 100
entities, in no order; dropping what is not there succeeds. It is no Milvus, and none was tried."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in import KEY, Refused, nearest, serve  # noqa: E402

KINDS = {"COSINE": "cosine", "IP": "dot", "L2": "l2"}
MOST = 16384


def refuse(code, message):
    raise Refused(200, {"code": code, "message": message})


def only(body, *names):
    unknown = set(body) - {"dbName", "collectionName", *names}
    if unknown or not body.get("collectionName"):
        refuse(1802, "missing required parameters, or unknown ones: %s" % sorted(unknown))
    return [body.get(name) for name in names]


class Milvus:
    denied = 401, {"code": 1800, "message": "user hasn't authenticated"}

    def __init__(self):
        self.collections, self.asked, self.ready = {}, 0, False

    def has_key(self, headers):
        return headers.get("Authorization") == "Bearer " + KEY

    def changes(self, method, path):
        return path.rsplit("/", 1)[1] in ("create", "drop", "upsert", "delete")

    def answer(self, method, path, query, body, host):
        calls = {"collections/create": self.create, "collections/describe": self.describe, "collections/drop": self.drop, "entities/upsert": self.upsert,
                 "entities/delete": self.delete, "entities/query": self.query, "entities/search": self.search}
        call = calls.get(path.replace("/v2/vectordb/", ""))
        if method != "POST" or not call:
            raise Refused(404, None)
        self.asked += self.ready
        if self.ready and self.asked % 97 == 0 and call in (self.query, self.search, self.upsert):
            refuse(8, "request is rejected by limiter, service rate limit exceeded")
        return 200, dict(call(body), code=0)

    def find(self, body):
        if body.get("collectionName") not in self.collections:
            refuse(100, "can't find collection[database=default][collection=%s]" % body.get("collectionName"))
        return self.collections[body["collectionName"]]

    def create(self, body):
        schema, indexes, params, description = only(body, "schema", "indexParams", "params", "description")
        name = body["collectionName"]
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", name):
            refuse(1100, "Invalid collection name: %s. the first character of a collection name must be an underscore or letter: invalid parameter" % name)
        if name in self.collections:
            refuse(65535, "create duplicate collection with different parameters, collection: " + name)
        fields = {}
        for field in schema["fields"]:
            kind, more = field["dataType"], field["elementTypeParams"]
            if kind not in ("VarChar", "FloatVector", "Array") or (kind != "FloatVector" and not 0 < int(more["max_length"]) <= 65535):
                refuse(1100, "field %s is invalid" % field["fieldName"])
            fields[field["fieldName"]] = field
        if params != {"consistencyLevel": "Strong"} or [one["fieldName"] for one in indexes] != ["vector"] or indexes[0]["metricType"] not in KINDS:
            refuse(1100, "the tests want a consistent collection with one index")
        self.collections[name] = {"fields": fields, "metric": indexes[0]["metricType"], "index": indexes[0], "description": description or "", "rows": {}}
        return {"data": {}}

    def describe(self, body):
        only(body)
        found = self.find(body)
        fields = [{"autoId": False, "description": "", "id": 100 + number, "name": name, "nullable": False, "partitionKey": False, "clusteringKey": False,
                   "primaryKey": field.get("isPrimary", False), "type": field["dataType"],
                   "params": [{"key": key, "value": str(value)} for key, value in field["elementTypeParams"].items()]}
                  for number, (name, field) in enumerate(found["fields"].items())]
        return {"data": {"aliases": [], "autoId": False, "collectionID": 1, "collectionName": body["collectionName"], "consistencyLevel": "Strong",
                         "description": found["description"], "enableDynamicField": False, "fields": fields, "functions": None,
                         "indexes": [{"fieldName": "vector", "indexName": "vector", "metricType": found["metric"]}], "load": "LoadStateLoaded",
                         "partitionsNum": 1, "properties": [], "shardsNum": 1}}

    def drop(self, body):
        only(body)
        self.collections.pop(body["collectionName"], None)
        return {"data": {}}

    def upsert(self, body):
        data, = only(body, "data")
        found = self.find(body)
        for row in data:
            if set(row) != set(found["fields"]):
                refuse(1804, "fail to deal the insert data, error: fields are missing or unknown: %s" % (set(row) ^ set(found["fields"])))
            for name, field in found["fields"].items():
                value, more = row[name], field["elementTypeParams"]
                if field["dataType"] == "FloatVector":
                    if len(value) != int(more["dim"]):
                        refuse(1804, "fail to deal the insert data, error: dimension: %s, but length of []float: %d" % (more["dim"], len(value)))
                elif any(len(one.encode()) > int(more["max_length"]) for one in (value if isinstance(value, list) else [value])):
                    refuse(1100, "length of varchar field %s exceeds max length: invalid parameter[expected=valid length][actual=string length exceeds max "
                                 "length]" % name)
        if len({row["id"] for row in data}) != len(data):
            refuse(1100, "duplicate primary keys are not allowed in the same batch")
        for row in data:
            found["rows"][row["id"]] = row
        return {"cost": 0, "data": {"upsertCount": len(data), "upsertIds": [row["id"] for row in data]}}

    def passing(self, found, expression):
        """The part of the expressions that is used: terms joined by "and"."""
        rows = list(found["rows"].values())
        for term in re.split(r" and (?=array_contains)", expression) if expression else []:
            like, listed = re.fullmatch(r'id like "([0-9a-f-]*)%"', term), re.fullmatch(r'id in \[((?:"[0-9a-f-]{36}",?)*)\]', term)
            contains = re.fullmatch(r'array_contains\(sextant_filters, "([0-9a-z:]+)"\)', term)
            if like:
                rows = [row for row in rows if row["id"].startswith(like[1])]
            elif listed:
                wanted = set(listed[1].replace('"', "").split(","))
                rows = [row for row in rows if row["id"] in wanted]
            elif contains:
                rows = [row for row in rows if contains[1] in row["sextant_filters"]]
            else:
                refuse(1100, "failed to create query plan: cannot parse expression: %s: invalid parameter" % term)
        return rows

    def delete(self, body):
        expression, = only(body, "filter")
        found = self.find(body)
        if not expression:
            refuse(1802, "missing required parameters")
        for row in self.passing(found, expression):
            del found["rows"][row["id"]]
        return {"cost": 0, "data": {}}

    def query(self, body):
        expression, outputs, limit, level = only(body, "filter", "outputFields", "limit", "consistencyLevel")
        found = self.find(body)
        rows = self.passing(found, expression)
        if level != "Strong":
            refuse(1100, "the tests want what was written to be found")
        if outputs == ["count(*)"]:
            if limit:
                refuse(1100, "count entities with pagination is not allowed")
            return {"cost": 0, "data": [{"count(*)": len(rows)}]}
        limit = limit or 100
        if limit > MOST:
            refuse(1, "invalid max query result window, (offset+limit) should be in range [1, 16384], but got %d" % limit)
        rows.sort(key=lambda row: row["id"][::-1])
        return {"cost": 0, "data": [{name: row[name] for name in ["id", *outputs]} for row in rows[:limit]]}

    def search(self, body):
        vectors, field, limit, outputs, params, expression, level = only(body, "data", "annsField", "limit", "outputFields", "searchParams", "filter",
                                                                         "consistencyLevel")
        found = self.find(body)
        if len(vectors) != 1 or field != "vector" or not 0 < limit <= MOST or params["params"]["ef"] < limit or level != "Strong":
            refuse(65535, "topk [%s] is invalid, it should be in range [1, 16384], or other parameters are" % limit)
        if len(vectors[0]) != int(found["fields"]["vector"]["elementTypeParams"]["dim"]):
            refuse(1801, "can only accept json format request, error: dimension mismatch")
        rows = {row["id"]: row for row in self.passing(found, expression)}
        kind = KINDS[found["metric"]]
        best = nearest(kind, vectors[0], ((key, row["vector"]) for key, row in rows.items()), limit)
        return {"cost": 0, "topks": [len(best)], "data": [dict({name: rows[key][name] for name in outputs}, id=key, distance=-value if kind == "l2" else value)
                                                          for value, key in best]}


serve(Milvus())
