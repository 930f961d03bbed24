"""A server that behaves as OpenAI's Batch API, on 127.0.0.1, and can kill its client at a request: before it does what was asked, or
after that and before it answers. It counts what a bill would count. Standard library only."""
import json
import os
import re
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from faulty_service import vector


class BatchService:
    def __init__(self, polls=1, outcome="completed"):
        self.polls, self.outcome = polls, outcome
        self.files, self.batches, self.paid, self.seen, self.direct = {}, {}, {}, [], 0
        self.kill = None    # (kind of request, "before" or "after")
        self.kill_later = None # seconds after the results were sent
        self.lose = set()   # kinds whose next reply is lost
        self.process = None
        self.recorded = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                service.serve(self, "POST")

            def do_GET(self):
                service.serve(self, "GET")

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/v1" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def kind(self, method, path):
        for kind, form in (("upload", "POST /v1/files"), ("create", "POST /v1/batches"), ("list", r"GET /v1/batches\?.*"),
                           ("get", r"GET /v1/batches/[^/?]+"), ("content", r"GET /v1/files/[^/]+/content"),
                           ("cancel", r"POST /v1/batches/[^/]+/cancel"), ("embeddings", "POST /v1/embeddings")):
            if re.fullmatch(form, method + " " + path):
                return kind
        return "unknown"

    def hit(self, kind, phase):
        if self.kill == (kind, phase) and self.process:
            self.kill = None
            os.kill(self.process.pid, signal.SIGKILL)
            return True
        return False

    def serve(self, handler, method):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        kind = self.kind(method, handler.path)
        self.seen.append(kind)
        self.recorded.append((kind, method, handler.path, {k.lower(): v for k, v in handler.headers.items()}, body))
        if self.hit(kind, "before"):
            handler.close_connection = True
            return
        reply = getattr(self, "do_" + kind)(handler.path, body)
        if kind in self.lose:
            self.lose.discard(kind)
            handler.close_connection = True
            return
        if self.hit(kind, "after"):
            handler.close_connection = True
            return
        code = 200 if reply is not None else 404
        data = reply if isinstance(reply, bytes) else json.dumps(reply or {"error": {"message": "no such thing"}}).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        if kind == "content" and self.kill_later is not None:
            process, delay, self.kill_later = self.process, self.kill_later, None
            handler.wfile.flush()
            time.sleep(delay)
            if process.poll() is None:
                process.kill()

    def do_unknown(self, path, body):
        return None

    def do_embeddings(self, path, body):
        texts = json.loads(body)["input"]
        self.direct += 0 if texts == ["probe", "dimension"] else len(texts)
        return {"object": "list", "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2},
                "data": [{"object": "embedding", "index": i, "embedding": vector(text)} for i, text in enumerate(texts)]}

    def do_upload(self, path, body):
        assert b'name="purpose"\r\n\r\nbatch\r\n' in body
        start = body.index(b"application/octet-stream\r\n\r\n") + 28
        name = "file-%d" % (len(self.files) + 1)
        self.files[name] = body[start:body.rindex(b"\r\n--")]
        return {"id": name, "object": "file", "bytes": len(self.files[name]), "purpose": "batch", "status": "processed"}

    def do_create(self, path, body):
        asked = json.loads(body)
        name = "batch_%d" % (len(self.batches) + 1)
        self.batches[name] = {"id": name, "object": "batch", "errors": None, "status": "validating", "polls": self.polls,
                              "output_file_id": None, "error_file_id": None, "metadata": asked["metadata"],
                              "input_file_id": asked["input_file_id"], "request_counts": {"total": 0, "completed": 0, "failed": 0}}
        for line in self.files[asked["input_file_id"]].splitlines():
            text = json.loads(line)["body"]["input"][0]
            if "POISON" not in text and not (self.outcome == "expired" and "number 1" in text):
                self.paid[text] = self.paid.get(text, 0) + 1
        return self.batches[name]

    def finish(self, batch):
        output, errors = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            request = json.loads(line)
            text = request["body"]["input"][0]
            entry = {"id": "r", "custom_id": request["custom_id"], "response": None, "error": None}
            if self.outcome == "expired" and "number 1" in text:
                entry["error"] = {"code": "batch_expired", "message": "This request could not be executed in time."}
                errors.append(entry)
                continue
            bad = "POISON" in text
            answer = ({"error": {"message": "we refuse this input", "type": "invalid_request_error"}} if bad else
                      {"object": "list", "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5},
                       "data": [{"object": "embedding", "index": 0, "embedding": vector(text)}]})
            entry["response"] = {"status_code": 400 if bad else 200, "request_id": "q", "body": answer}
            (errors if bad else output).append(entry)
        output.reverse()
        if output:
            output += [output[0], dict(output[0], custom_id="stranger")]  # one twice, one unknown
        for key, lines in (("output_file_id", output), ("error_file_id", errors)):
            if lines:
                name = "%s-%s" % (key, batch["id"])
                self.files[name] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
                batch[key] = name
        batch["status"] = self.outcome

    def do_get(self, path, body):
        batch = self.batches.get(path.split("/")[-1])
        if batch and batch["status"] in ("validating", "in_progress"):
            batch["polls"] -= 1
            batch["status"] = "in_progress"
            if batch["polls"] < 0:
                self.finish(batch)
        return batch

    def do_cancel(self, path, body):
        batch = self.batches.get(path.split("/")[-2])
        self.outcome = "cancelled"
        return dict(batch, status="cancelling") if batch else None

    def do_list(self, path, body):
        return {"object": "list", "data": list(self.batches.values())[::-1], "has_more": False}

    def do_content(self, path, body):
        return self.files.get(path.split("/")[-2])
