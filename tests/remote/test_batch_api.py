"""`sextant embed --batch-api` and `index --batch-api` against a server that behaves as OpenAI's Batch API: kill -9 at every request, lost replies, partial
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


def write_documents(bench, count):
    """One chunk each; returns the folder."""
    folder = os.path.join(bench.folder, "documents")
    os.makedirs(folder, exist_ok=True)
    for i in range(count):
        with open(os.path.join(folder, "d%03d.txt" % i), "w") as file:
            file.write("document %d is about rivers%s\n" % (i, " POISON" if i in bench.poisoned else ""))
    return folder


def index(bench, service, folder, *extra, batch=("--batch-api",)):
    service.process = subprocess.Popen(
        [bench.program, "index", folder, "-m", "openai@%s#some-model" % service.url, *batch, "--json", *extra],
        env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = service.process.communicate(timeout=120)
    bench.outputs += out + errors
    report = json.loads(out) if out.startswith(b"{\"documents") else None
    return service.process.returncode, report, errors.decode()


def make_index_bench(program, poisoned=(), **options):
    bench, service = make_bench(program), BatchService(**options)
    bench.poisoned = poisoned
    return bench, service


def check_charges(service, count, poisoned=()):
    wrong = {text: n for text, n in service.paid.items() if n != 1}
    check(not wrong, "paid more than once: %s" % wrong)
    check(len(service.paid) == count - len(poisoned), "%d texts paid for, of %d" % (len(service.paid), count - len(poisoned)))
    check(service.direct == 0, "%d texts went the direct way" % service.direct)


def check_found(bench, service, report, count, failed=0):
    check(report["chunks"]["failed"] == failed and report["chunks"]["cached"] == count - failed, "chunks: %s" % report["chunks"])
    found = subprocess.run([bench.program, "search", "--json", "-n", "1", "document 7 is about rivers"], env=bench.environment,
                           capture_output=True, timeout=60)
    bench.outputs += found.stdout + found.stderr
    check(b"d007.txt" in found.stdout, "search: %s %s" % (found.stdout[-300:], found.stderr))


def index_killed_everywhere(program):
    moments = [(kind, phase) for kind in ("upload", "create", "get", "content") for phase in ("before", "after")]
    for moment in moments:
        bench, service = make_index_bench(program, polls=0)
        folder = write_documents(bench, 40)
        service.kill = moment
        code, _, errors = index(bench, service, folder)
        check(code == -9, "index killed at %s: the program ended with %d: %s" % (moment, code, errors))
        code, report, errors = index(bench, service, folder)
        check(code == 0 and report["documents"]["added"] == 40, "index after a kill at %s: %d: %s" % (moment, code, errors))
        check_charges(service, 40)
        check(len(service.batches) == 1, "a kill at %s made %d batches" % (moment, len(service.batches)))
        if moment == ("content", "after"):
            service.direct = 0
            check_found(bench, service, report, 40)
            cost = run_verb(bench, "cost")
            check(sum(row["texts"] for row in cost["rows"] if row.get("tokens")) >= 40, "the ledger has %s" % cost["rows"])
        bench.check_secrecy()
        service.stop()
    print("index --batch-api killed at %d moments: one charge for each chunk" % len(moments))


def index_committing_killed(program):
    """Killed at any time of the second pass: what is at the service is not asked for again."""
    for delay in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2):
        bench, service = make_index_bench(program, polls=0)
        folder = write_documents(bench, 60)
        service.kill_later = delay
        index(bench, service, folder)
        code, report, errors = index(bench, service, folder)
        check(code == 0 and report["documents"]["failed"] == 0, "index killed %.2f s after its vectors came: %s" % (delay, errors))
        check_charges(service, 60)
        check(len(service.batches) == 1, "%d batches" % len(service.batches))
        service.stop()
    print("index --batch-api killed while it commits: nothing is sent again")


def index_failures(program):
    bench, service = make_index_bench(program, {3, 17}, polls=0)
    folder = write_documents(bench, 30)
    code, report, errors = index(bench, service, folder)
    check(code == 3, "partial failure: exit code %d: %s" % (code, errors))
    check(sorted(os.path.basename(f["document"]) for f in report["failed"]) == ["d003.txt", "d017.txt"], "failed: %s" % report["failed"])
    check("we refuse this input" in report["failed"][0]["reason"], "the reason is %s" % report["failed"][0])
    check_charges(service, 30, {3, 17})
    code, report, errors = index(bench, service, folder)
    check(code == 3 and len(service.batches) == 1, "what failed was sent again without being asked for: %d %s" % (code, errors))
    bench.poisoned = {3}
    code, report, errors = index(bench, service, folder, "--retry-failed")
    check(len(service.batches) == 2, "--retry-failed made %d batches" % len(service.batches))
    write_documents(bench, 30)
    code, report, errors = index(bench, service, folder)
    check(code == 3 and report["documents"]["changed"] == 1, "a changed document: %d %s" % (code, report))
    check(len(service.batches) == 3 and service.direct == 0, "%d batches, %d direct" % (len(service.batches), service.direct))
    secret = "gh" + "p_x7Kd92mQpLz4VtY8sWbN3cRfGh5JkA1eUoXq"
    with open(os.path.join(folder, "d029.txt"), "w") as file:
        file.write("token: %s\n" % secret)
    code, report, errors = index(bench, service, folder)
    check("held back" in str(report["failed"]) and len(service.batches) == 3, "a secret: %d %s" % (code, report))
    check(not any(secret in str(body) for _, _, _, _, body in service.recorded), "a secret was sent")
    service.stop()
    print("index --batch-api: what failed is named, and sent again when asked for")


def index_left(program):
    bench, service = make_index_bench(program, polls=2)
    folder = write_documents(bench, 20)
    code, _, errors = index(bench, service, folder, "--no-wait")
    check(code == 1 and "1 batches are at the service" in errors and "resume" in errors, "left: %d %s" % (code, errors))
    status = run_verb(bench, "status")
    check("documents" not in str(status.get("collections", [])) or not status["collections"], "left with documents: %s" % status)
    jobs = run_verb(bench, "batch", "resume")["batches"]
    check(jobs[0]["stored"] == 20, "resume: %s" % jobs)
    code, report, errors = index(bench, service, folder, "--no-wait")
    check(code == 0 and report["documents"]["added"] == 20, "after resume: %d %s" % (code, errors))
    check_charges(service, 20)
    check_found(bench, service, report, 20)
    service.direct = 0
    for words, what in ((("--fallback", "minilm"), "a fallback"), (("--split", "10"), "--split"), (("--dry-run",), "--dry-run")):
        code, _, errors = index(bench, service, folder, *words)
        check(code == 2 and "--batch-api does not go with " + what in errors, "%s: %d %s" % (words, code, errors))
    service.stop()
    print("index --batch-api: left at the service, resumed, committed")


if __name__ == "__main__":
    index_killed_everywhere(sys.argv[1])
    index_committing_killed(sys.argv[1])
    index_failures(sys.argv[1])
    index_left(sys.argv[1])
    killed_everywhere(sys.argv[1])
    lost_replies(sys.argv[1])
    partial_failure(sys.argv[1])
    expired(sys.argv[1])
    resumed_and_cancelled(sys.argv[1])
    as_recorded(sys.argv[1], sys.argv[2])
