"""weaviate_stand_in.py PORT [OPTIONS of stand_in.py] - answers the part of Weaviate's REST and GraphQL that Sextant uses, as a server of version 1.35.2
answered when it was tried (tests/fixtures/wire/weaviate.json; tests/real/test_weaviate.py tries it again). What is odd there is odd here: GraphQL answers
200 to everything, a batch for a class that is not there makes one, deleting a class that is not there succeeds, and an object that does not fit is refused
inside an answer of 200."""
import os
import re
import sys
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in import KEY, Refused, nearest, serve  # noqa: E402

KINDS = {"cosine": "cosine", "dot": "dot", "l2-squared": "l2"}
TOKEN = re.compile(r'\s*(?:([{}()\[\]:,])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|([_A-Za-z][_0-9A-Za-z]*))')


class Graph:
    """GraphQL as far as it is used: {Verb{Class(argument:value){field _additional{field}}}}"""

    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            if not found:
                raise Refused(200, errors("Syntax Error GraphQL request: unexpected character at %d" % at))
            self.tokens.append(found.groups())
            at = found.end()
        self.at = 0

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, mark):
        if self.at < len(self.tokens) and self.tokens[self.at][0] == mark:
            self.at += 1
            return True
        return False

    def need(self, mark):
        if not self.take(mark):
            raise Refused(200, errors("Syntax Error GraphQL: Expected %s" % mark))

    def value(self):
        if self.take("["):
            values = []
            while not self.take("]"):
                values.append(self.value())
                self.take(",")
            return values
        if self.take("{"):
            return self.members("}")
        mark, string, number, name = self.next()
        return eval_string(string) if string else float(number) if number else name

    def members(self, end):
        members = {}
        while not self.take(end):
            name = self.next()[3]
            self.need(":")
            members[name] = self.value()
            self.take(",")
        return members

    def selection(self):
        fields = []
        self.need("{")
        while not self.take("}"):
            name = self.next()[3]
            arguments = self.members(")") if self.take("(") else {}
            below = self.selection() if self.at < len(self.tokens) and self.tokens[self.at][0] == "{" else []
            fields.append((name, arguments, below))
        return fields


def eval_string(text):
    import json
    return json.loads(text)


def errors(message, path=None):
    problem = {"locations": [{"column": 6, "line": 1}], "message": message}
    if path:
        problem["path"] = path
    return {"data": {path[0]: {path[1]: None}} if path else None, "errors": [problem]}


def refuse(code, message):
    raise Refused(code, {"error": [{"message": message}]})


class Weaviate:
    denied = 401, {"code": 401, "message": "unauthorized: invalid api key"}

    def __init__(self):
        self.classes, self.objects = {}, {}

    def has_key(self, headers):
        return headers.get("Authorization") == "Bearer " + KEY

    def changes(self, method, path):
        return method == "DELETE" or (method == "POST" and path != "/v1/graphql")

    def answer(self, method, path, query, body, host):
        parts = path.strip("/").split("/")
        if parts[0] != "v1":
            raise Refused(404, None)
        call = (method, parts[1])
        if call == ("POST", "schema"):
            return self.create(body)
        if call == ("GET", "schema"):
            return (200, self.classes[parts[2]]) if parts[2] in self.classes else (404, None)
        if call == ("DELETE", "schema"):
            self.classes.pop(parts[2], None)
            self.objects.pop(parts[2], None)
            return 200, None
        if call == ("POST", "batch"):
            return 200, [self.put(thing) for thing in body["objects"]]
        if call == ("DELETE", "batch"):
            return self.delete(body)
        if call == ("GET", "objects"):
            return self.list(query, parts)
        if call == ("POST", "graphql"):
            return 200, self.graph(body["query"])
        raise Refused(404, None)

    def create(self, wanted):
        name = wanted["class"]
        if not re.fullmatch(r"[A-Z][_0-9A-Za-z]*", name):
            refuse(422, "'%s' is not a valid class name" % name)
        for other in self.classes:
            if other.lower() == name.lower():
                refuse(422, "class name %s already exists" % name if other == name else "class already exists: found similar class \"%s\"" % other)
        for one in wanted.get("properties", []):
            if one["dataType"] not in (["text"], ["text[]"]) or one["tokenization"] != "field":
                refuse(422, "property '%s': invalid dataType or tokenization" % one["name"])
        made = dict(wanted, vectorizer="none", vectorIndexType="hnsw", vectorIndexConfig=dict(wanted.get("vectorIndexConfig", {})))
        made["vectorIndexConfig"].setdefault("distance", "cosine")
        if made["vectorIndexConfig"]["distance"] not in KINDS:
            refuse(422, "distance: unknown")
        self.classes[name], self.objects[name] = made, {}
        return 200, made

    def put(self, thing):
        name = thing["class"]
        if name not in self.classes:
            self.create({"class": name})
        objects = self.objects[name]
        kept = {"class": name, "creationTimeUnix": 1, "id": str(uuid.UUID(thing["id"])), "lastUpdateTimeUnix": 1, "properties": thing["properties"],
                "vector": thing["vector"]}
        known = {one["name"] for one in self.classes[name].get("properties", [])}
        size = len(next(iter(objects.values()))["vector"]) if objects else len(thing["vector"])
        problem = None
        if len(thing["vector"]) != size:
            problem = "new node has a vector with length %d. Existing nodes have vectors with length %d" % (len(thing["vector"]), size)
        elif known and set(thing["properties"]) - known:
            problem = "the tests want only properties of the schema, not %s" % (set(thing["properties"]) - known)
        if problem:
            return dict(kept, deprecations=None, result={"errors": {"error": [{"message": problem}]}, "status": "FAILED"})
        objects[kept["id"]] = kept
        return dict(kept, deprecations=None, result={"status": "SUCCESS"})

    def delete(self, body):
        match, objects = body["match"], self.objects.get(body["match"]["class"], {})
        where = match["where"]
        if where["path"] != ["id"] or where["operator"] != "ContainsAny":
            refuse(422, "the tests know only ids here")
        gone = [one for one in set(where["valueTextArray"]) if objects.pop(one, None)]
        return 200, {"deletionTimeUnixMilli": 1, "dryRun": False, "match": dict(match, where=dict(where, operands=None)), "output": body["output"],
                     "results": {"failed": 0, "limit": 10000, "matches": len(gone), "objects": None, "successful": len(gone)}}

    def list(self, query, parts):
        if len(parts) == 4:
            found = self.objects.get(parts[2], {}).get(parts[3])
            return (200, dict({key: value for key, value in found.items() if key != "vector"}, vectorWeights=None)) if found else (404, None)
        name, limit = query["class"][0], int(query["limit"][0])
        if name not in self.classes:
            return 200, {"deprecations": [], "objects": []}
        after = query.get("after", [""])[0]
        found = [self.objects[name][key] for key in sorted(self.objects[name]) if key > after][:limit]
        reply = {"deprecations": [], "objects": [dict(one, vectorWeights=None) for one in found]}
        return 200, dict(reply, totalResults=len(found)) if found else reply

    def passes(self, thing, where):
        if where["operator"] == "And":
            return all(self.passes(thing, one) for one in where["operands"])
        if where["path"] == ["id"] and where["operator"] == "ContainsAny":
            return thing["id"] in where["valueText"]
        if where["operator"] == "Equal" and where["path"] == ["sextant_filters"]:
            return where["valueText"] in thing["properties"].get("sextant_filters", [])
        raise Refused(200, errors("the tests do not know this filter: %s" % where))

    def graph(self, text):
        (verb, _, (((name, arguments, fields)),)), = Graph(text).selection()
        if not self.classes:
            refuse(422, "no graphql provider present, this is most likely because no schema is present. Import a schema first!")
        if name not in self.classes:
            return errors("Cannot query field \"%s\" on type \"%sObjectsObj\"." % (name, verb))
        objects = self.objects[name]
        if verb == "Aggregate":
            return {"data": {"Aggregate": {name: [{"meta": {"count": len(objects)}}]}}}
        limit, where = int(arguments["limit"]), arguments.get("where")
        if limit > 10000:
            return errors("query maximum results exceeded", ["Get", name])
        found = [one for one in objects.values() if not where or self.passes(one, where)]
        distances = {}
        if "nearVector" in arguments:
            vector = arguments["nearVector"]["vector"]
            if found and len(found[0]["vector"]) != len(vector):
                return errors("vector lengths don't match", ["Get", name])
            kind = KINDS[self.classes[name]["vectorIndexConfig"]["distance"]]
            best = nearest(kind, vector, ((one["id"], one["vector"]) for one in found), limit)
            distances = {key: 1 - value if kind == "cosine" else -value for value, key in best}
            found = [objects[key] for _, key in best]
        rows = []
        for one in found[:limit]:
            row = {}
            for field, _, below in fields:
                row[field] = {"id": one["id"], "distance": distances.get(one["id"])} if below else one["properties"].get(field)
                if below:
                    row[field] = {key: row[field][key] for key, _, _ in below}
            rows.append(dict(sorted(row.items())))
        return {"data": {"Get": {name: rows}}}


serve(Weaviate())
