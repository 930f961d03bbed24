"""`sextant embed --batch-api` against a server that behaves as OpenAI's Batch API: kill -9 at every request, lost replies, partial
failure, expiry, cancelling. Each text is charged once, each vector is its own, the key is nowhere.

    test_batch_api.py SEXTANT RECORDED.json
"""
import json
import os
import subprocess
import sys
import tempfile

from batch_service import BatchService
from test_faults import KEY, Bench, check


def make_bench(program):
    folder = tempfile.mkdtemp(prefix="sextant-batch-")
    return Bench(program, folder)


def start(bench, service, path, *extra):
    output = os.path.join(bench.folder, "out.jsonl")
    if os.path.exists(output):
        os.unlink(output)
    service.process = subprocess.Popen(bench.command(service, path, output, "--batch-api", *extra), env=bench.environment,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = service.process.communicate(timeout=120)
    bench.outputs += out + errors
    rows = []
    if os.path.exists(output):
        with open(output) as file:
            rows = [json.loads(line) for line in file]
    return service.process.returncode, rows, errors.decode()


def run_verb(bench, *arguments, code=0):
    done = subprocess.run([bench.program, *arguments, "--json"], env=bench.environment, capture_output=True, timeout=120)
    bench.outputs += done.stdout + done.stderr
    check(done.returncode == code, "%s: exit code %d: %s" % (arguments, done.returncode, done.stderr.decode()))
    return json.loads(done.stdout)


def paid_once(bench, service, left_out=()):
    good = [text for i, text in enumerate(bench.texts) if i not in left_out]
    wrong = [text for text in good if service.paid.get(text) != 1]
    check(not wrong, "%d texts were not paid for exactly once: %s" % (len(wrong), wrong[:2]))
    check(service.direct == 0, "%d texts went the direct way" % service.direct)


def killed_everywhere(program):
    moments = [(kind, phase) for kind in ("upload", "create", "get", "content") for phase in ("before", "after")]
    for moment in moments:
        bench, service = make_bench(program), BatchService(polls=0)
        path = bench.write_texts(300)
        service.kill = moment
        code, _, errors = start(bench, service, path)
        check(code == -9, "killed at %s: the program ended with %d: %s" % (moment, code, errors))
        code, rows, errors = start(bench, service, path)
        check(code == 0, "after a kill at %s: exit code %d: %s" % (moment, code, errors))
        bench.check_rows(rows)
        paid_once(bench, service)
        check(len(service.batches) == 1, "a kill at %s made %d batches" % (moment, len(service.batches)))
        cost = run_verb(bench, "cost")
        check(sum(row["texts"] for row in cost["rows"]) == 300, "the ledger has %s" % cost["rows"])
        jobs = run_verb(bench, "batch", "list")["batches"]
        check(len(jobs) == 1 and jobs[0]["stored"] == 300 and jobs[0]["step"] == "stored", "jobs: %s" % jobs)
        bench.check_secrecy()
        service.stop()
    print("killed at %d moments: one charge for each text" % len(moments))


def lost_replies(program):
    bench, service = make_bench(program), BatchService(polls=1)
    path = bench.write_texts(50)
    service.lose = {"upload", "create", "get", "content"}
    code, rows, errors = start(bench, service, path)
    check(code == 0, "lost replies: exit code %d: %s" % (code, errors))
    bench.check_rows(rows)
    paid_once(bench, service)
    check(len(service.batches) == 1 and not service.lose, "%d batches" % len(service.batches))
    before = len(service.seen)
    code, rows, errors = start(bench, service, path)
    check(code == 0 and all(row["cached"] for row in rows), "the second run did not take all from the cache")
    check(set(service.seen[before:]) <= {"embeddings"}, "the second run asked %s" % service.seen[before:])
    service.stop()
    print("lost replies: the batch is found again")


def partial_failure(program):
    bench, service = make_bench(program), BatchService(polls=0)
    path = bench.write_texts(40, {3, 17})
    code, rows, errors = start(bench, service, path)
    check(code == 3, "partial failure: exit code %d: %s" % (code, errors))
    bench.check_rows(rows, {3, 17})
    code, rows, _ = start(bench, service, path)
    check(code == 3 and len(service.batches) == 1, "what failed was sent again without being asked for")
    jobs = run_verb(bench, "batch", "status", "1")["batches"]
    check(jobs[0]["failed"] == 2 and "2 lines were passed over" in jobs[0]["message"], "jobs: %s" % jobs)
    code, rows, _ = start(bench, service, path, "--retry-failed")
    check(code == 3 and len(service.batches) == 2, "--retry-failed made %d batches" % len(service.batches))
    check(service.files[service.batches["batch_2"]["input_file_id"]].count(b"\n") == 2, "more than what failed was sent again")
    paid_once(bench, service, {3, 17})
    service.stop()
    print("partial failure: named, and sent again when asked for")


def expired(program):
    bench, service = make_bench(program), BatchService(polls=0, outcome="expired")
    path = bench.write_texts(30)
    code, rows, errors = start(bench, service, path)
    late = {i for i, text in enumerate(bench.texts) if "number 1" in text}
    check(code == 3, "expired: exit code %d: %s" % (code, errors))
    check({i for i, row in enumerate(rows) if "error" in row} == late, "not those that expired have failed")
    check("batch_expired" in rows[1]["error"]["message"], "the reason is %s" % rows[1]["error"])
    service.outcome = "completed"
    code, rows, errors = start(bench, service, path, "--retry-failed")
    check(code == 0, "after expiry: exit code %d: %s" % (code, errors))
    bench.check_rows(rows)
    paid_once(bench, service)
    service.stop()
    print("expired: the rest was sent again, once")


def resumed_and_cancelled(program):
    bench, service = make_bench(program), BatchService(polls=0)
    path = bench.write_texts(20)
    service.kill = ("get", "before")
    start(bench, service, path)
    jobs = run_verb(bench, "batch", "resume")["batches"]
    check(jobs[0]["stored"] == 20, "resume: %s" % jobs)
    code, rows, _ = start(bench, service, path)
    bench.check_rows(rows)
    paid_once(bench, service)
    service.stop()
    bench, service = make_bench(program), BatchService(polls=0)
    path = bench.write_texts(20)
    service.kill = ("upload", "before")
    start(bench, service, path)
    jobs = run_verb(bench, "batch", "cancel", "1")["batches"]
    check(jobs[0]["step"] == "dropped" and not service.batches, "cancel before it was made: %s" % jobs)
    service.kill = ("get", "before")
    start(bench, service, path)
    run_verb(bench, "batch", "cancel", "2")
    check("cancel" in service.seen, "the service was not asked to cancel")
    jobs = run_verb(bench, "batch", "resume", "2")["batches"]
    check(jobs[0]["status"] == "cancelled" and jobs[0]["stored"] == 20, "cancelled: %s" % jobs)
    bench.check_secrecy()
    service.stop()
    print("batch resume and cancel")


def as_recorded(program, recorded):
    with open(recorded) as file:
        theirs = {entry["kind"]: entry for entry in json.load(file)}
    bench, service = make_bench(program), BatchService(polls=0)
    path = bench.write_texts(2)
    service.lose = {"create"}
    start(bench, service, path)
    service.kill = ("get", "before")
    bench.write_texts(3)
    start(bench, service, path)
    run_verb(bench, "batch", "cancel", "2")
    ours = {kind: (method, path, headers, body) for kind, method, path, headers, body in service.recorded}
    for kind, entry in theirs.items():
        method, path, headers, body = ours[kind]
        check(method == entry["method"], "%s: %s" % (kind, method))
        shape = [part if part in ("v1", "files", "batches", "content", "cancel") else "ID"
                 for part in path.split("?")[0].strip("/").split("/")]
        check("/" + "/".join(shape) == entry["path"], "%s: path %s" % (kind, path))
        check(headers.get("authorization") == "Bearer " + KEY, "%s: no key" % kind)
        if "content-type" in entry:
            check(headers["content-type"].split(";")[0] == entry["content-type"], "%s: %s" % (kind, headers["content-type"]))
        if kind == "create":
            check(sorted(json.loads(body)) == entry["fields"] and json.loads(body)["endpoint"] == "/v1/embeddings", "create: %s" % body)
        if kind == "upload":
            parts = [line for line in body.decode().split("\r\n") if line.startswith("Content-")]
            plain = [part.split("; filename")[0] for part in parts]
            check(plain == entry["parts"], "upload: %s" % parts)
            line = json.loads(body.split(b"octet-stream\r\n\r\n")[1].split(b"\n")[0])
            check(sorted(line) == entry["fields"] and line["method"] == "POST" and line["url"] == "/v1/embeddings", "line: %s" % line)
    service.stop()
    print("%d kinds of requests equal those of the Python client" % len(theirs))


if __name__ == "__main__":
    killed_everywhere(sys.argv[1])
    lost_replies(sys.argv[1])
    partial_failure(sys.argv[1])
    expired(sys.argv[1])
    resumed_and_cancelled(sys.argv[1])
    as_recorded(sys.argv[1], sys.argv[2])
