"""hub_server.py - a local server that behaves as the model hub does, and misbehaves on demand.

Two listeners: the hub itself, and the host it redirects large files to. Repositories are folders; what is large (weights) is answered as
the hub answers LFS files: 302 to the other host with X-Linked-Etag (SHA-256) and X-Linked-Size; small files come from the hub with git's SHA-1
as ETag. Facts: what huggingface_hub 2.4 asks and the hub answered in November 2026. `log` holds (listener, method, path, headers)."""
import hashlib
import http.server
import json
import os
import threading
import time
import urllib.parse

LARGE = (".safetensors", ".bin", ".pt", ".gguf")


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tree_entry(path, data):
    entry = {"type": "file", "oid": git_sha1(data), "size": len(data), "path": path}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


class Repository:
    def __init__(self, folder, skip=("expected",)):
        self.files = {}
        for base, _, names in os.walk(folder):
            for name in names:
                if not name.startswith(tuple(skip)):
                    path = os.path.join(base, name)
                    self.files[os.path.relpath(path, folder)] = open(path, "rb").read()
        self.private = self.gated = False
        self.renamed_to = None
        self.branches = {"main": self.commit()}

    def commit(self):
        return hashlib.sha1(b"".join(k.encode() + v for k, v in sorted(self.files.items()))).hexdigest()


class Hub:
    def __init__(self):
        self.repositories, self.log, self.lock = {}, [], threading.Lock()
        self.cut_after = {}      # path -> list of byte counts: each GET of it ends the connection after so many bytes
        self.refuse = {}         # path or "list" -> list of (status, headers) answered before anything else
        self.replace = {}        # path -> bytes sent instead of the right ones (same length)
        self.ignore_range = False
        self.seconds_per_block = 0.0
        self.token = "hf_right"
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def note(self):
                with hub.lock:
                    hub.log.append((self.server.kind, self.command, urllib.parse.unquote(self.path), dict(self.headers)))

            def answer(self, status, body=b"", headers=()):
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def pop(self, table, key):
                with hub.lock:
                    entries = table.get(key)
                    return entries.pop(0) if entries else None

            def content(self, path, data, etag, extra=()):
                """One file's bytes, with ranges, cuts and whatever else is asked for."""
                begin, status = 0, 200
                wanted = self.headers.get("Range")
                headers = [("ETag", '"%s"' % etag), ("Accept-Ranges", "bytes"), *extra]
                if wanted and not hub.ignore_range:
                    begin, status = int(wanted[6:].split("-")[0]), 206
                    if begin >= len(data):
                        return self.answer(416, b"", [("Content-Range", "bytes */%d" % len(data))])
                    headers.append(("Content-Range", "bytes %d-%d/%d" % (begin, len(data) - 1, len(data))))
                body = hub.replace.get(path, data)[begin:]
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                cut = self.pop(hub.cut_after, path)
                if cut is not None:
                    body = body[:cut]
                for at in range(0, len(body), 65536):
                    self.wfile.write(body[at:at + 65536])
                    if hub.seconds_per_block:
                        time.sleep(hub.seconds_per_block)
                if cut is not None:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(2)

            def do_GET(self):
                self.note()
                path = urllib.parse.unquote(self.path.split("?")[0])
                if self.server.kind == "storage":
                    _, owner, name, file = path.split("/", 3)
                    repository = hub.repositories[owner + "/" + name]
                    data = repository.files[file]
                    return self.content(file, data, "storage-" + hashlib.md5(data).hexdigest())
                parts = path.strip("/").split("/")
                is_list = parts[:2] == ["api", "models"]
                name = "/".join(parts[2:4] if is_list else parts[:2])
                rest = parts[4:] if is_list else parts[2:]
                key = "list" if is_list else "/".join(rest[2:])
                refused = self.pop(hub.refuse, key)
                if refused:
                    return self.answer(refused[0], b"{}", refused[1])
                repository = hub.repositories.get(name)
                authorised = self.headers.get("Authorization") == "Bearer " + hub.token
                if repository is None or (repository.private and not authorised):
                    # the hub does not say which of the two it is
                    return self.answer(401, b'{"error":"Invalid username or password."}', [("X-Error-Code", "RepoNotFound")])
                if repository.renamed_to:
                    return self.answer(307, b"", [("Location", self.path.replace(name, repository.renamed_to, 1))])
                revision = urllib.parse.unquote(rest[1]) if len(rest) > 1 else "main"
                commit = repository.branches.get(revision, revision)
                if commit not in repository.branches.values():
                    return self.answer(404, b"{}", [("X-Error-Code", "RevisionNotFound")])
                if is_list and rest[:1] == ["tree"]:
                    return self.answer(200, json.dumps([tree_entry(*item) for item in sorted(repository.files.items())]).encode(),
                                       [("Content-Type", "application/json")])
                if is_list:
                    siblings = [{"rfilename": file} for file in sorted(repository.files)]
                    body = json.dumps({"id": name, "modelId": name, "sha": commit, "private": repository.private,
                                       "gated": repository.gated, "siblings": siblings}).encode()
                    return self.answer(200, body, [("Content-Type", "application/json")])
                if repository.gated and not authorised:
                    return self.answer(403, b"{}", [("X-Error-Code", "GatedRepo")])
                file = "/".join(rest[2:])
                data = repository.files.get(file)
                if data is None:
                    return self.answer(404, b"", [("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", commit)])
                extra = [("X-Repo-Commit", commit)]
                if not file.endswith(LARGE):
                    return self.content(file, data, git_sha1(data), extra)
                place = "http://127.0.0.1:%d/%s/%s" % (hub.storage.server_address[1], name, file)
                self.answer(302, b"", extra + [("Location", place), ("X-Linked-Size", str(len(data))),
                                               ("X-Linked-Etag", '"%s"' % hashlib.sha256(data).hexdigest())])

            do_HEAD = do_GET

        def serve(kind):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.kind, server.daemon_threads = kind, True
            server.handle_error = lambda *arguments: None  # clients are killed in these tests
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return server

        self.storage, self.server = serve("storage"), serve("hub")
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def forget(self):
        with self.lock:
            self.log.clear()
        self.cut_after, self.refuse, self.replace = {}, {}, {}
        self.ignore_range, self.seconds_per_block = False, 0.0
