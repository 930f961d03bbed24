#!/usr/bin/env python3
"""test_collections.py SEXTANT [TEST...]: collections, documents and jobs by HTTP: what is answered is durable; searches are the program's own; reranking."""
import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from serving import Server, environment, families, program, run_tests

TEXTS = {"boats": "The boats came in with the tide, full of herring.", "bread": "Bread rises because yeast gives off gas.",
         "stars": "Navigators measured the height of stars with a sextant.", "law": "The court ruled that the contract was void."}


def documents(texts, **more):
    return {"documents": [{"id": k, "text": v, **more} for k, v in texts.items()]}


def make(s, name="notes", **more):
    status, made, _ = s.ask("/v1/collections", {"name": name, **more})
    assert status == 201 and made["name"] == name, made


def find(s, query, name="notes", **more):
    status, found, _ = s.ask(f"/v1/collections/{name}/search", {"query": query, **more})
    assert status == 200, found
    return found


def ids(found):
    return [hit["document"] for hit in found["hits"]]


def test_life():
    with Server("--db", "x.db") as s:
        assert s.ask("/v1/collections")[1] == {"collections": []}
        assert s.ask("/v1/collections/notes")[0] == 404 and s.ask("/v1/collections/notes/search", {"query": "x"})[0] == 404
        assert s.ask("/v1/collections/notes/documents", documents(TEXTS))[0] == 404
        make(s)
        assert s.ask("/v1/collections", {"name": "notes"})[0] == 409
        status, report, _ = s.ask("/v1/collections/notes/documents", documents(TEXTS, metadata={"kind": "example", "year": 1999}))
        assert status == 200 and report["documents"]["added"] == 4 and report["chunks"]["embedded"] == 4 and not report["problems"], report
        assert ids(find(s, "measuring the sky at sea"))[0] == "stars"
        hit = find(s, "herring", mode="keyword")["hits"][0]
        assert hit["document"] == "boats" and hit["root"] == "api:" and hit["text"] == TEXTS["boats"] and hit["metadata"]["year"] == 1999
        assert hit["keyword_rank"] == 1 and hit["semantic_rank"] == 0
        # the same again is unchanged; other text or metadata take the place of what was there
        assert s.ask("/v1/collections/notes/documents", documents(TEXTS, metadata={"kind": "example", "year": 1999}))[1]["documents"]["unchanged"] == 4
        assert s.ask("/v1/collections/notes/documents", documents({"law": TEXTS["law"]}))[1]["documents"]["changed"] == 1
        assert "kind" not in find(s, "court contract")["hits"][0]["metadata"]
        assert s.ask("/v1/collections/notes/documents", documents({"law": "A tribunal annulled the agreement."}))[1]["documents"]["changed"] == 1
        assert find(s, "tribunal", mode="keyword")["hits"][0]["document"] == "law" and not find(s, "void", mode="keyword")["hits"]
        assert ids(find(s, "anything at all", filters=["kind=example"], count=10)).count("law") == 0
        one = s.ask("/v1/collections/notes")[1]
        assert (one["documents"], one["chunks"], one["failed"], one["dimensions"]) == (4, 4, 0, 384), one
        assert s.ask("/v1/collections?counts=false")[1]["collections"][0]["name"] == "notes"
        # out again
        assert s.ask("/v1/collections/notes/documents/law", method="DELETE")[1]["removed"] == 1
        assert s.ask("/v1/collections/notes/documents", {"ids": ["bread", "nobody"]}, method="DELETE")[1]["removed"] == 1
        assert sorted(ids(find(s, "anything", count=10))) == ["boats", "stars"]
        assert s.ask("/v1/collections/notes", method="DELETE")[1] == {"deleted": "notes"}
        assert s.ask("/v1/collections/notes", method="DELETE")[0] == 404


def test_semantic_chunks():
    """Windows of sentences are embedded while a document is cut, and told."""
    text = " ".join(TEXTS[name] + " " + TEXTS[name] for name in sorted(TEXTS) for _ in range(3))
    with Server("--db", "x.db") as s:
        make(s, chunks={"strategy": "semantic", "size": 40})
        report = s.ask("/v1/collections/notes/documents", documents({"all": text}))[1]
        assert report["windows"]["embedded"] > 5 and report["windows"]["tokens"] > report["tokens"] and report["chunks"]["total"] > 2, report
        for hit in find(s, "measuring the sky at sea", count=50)["hits"]:
            assert text.encode()[hit["start"]:hit["end"]].decode() == hit["text"]
        assert "windows" not in s.ask("/v1/collections/notes/documents", documents({"all": text}))[1]


def test_same_as_the_program():
    """What a search by HTTP finds is what `sextant search --json` finds."""
    with Server("--db", "x.db") as s:
        make(s)
        s.ask("/v1/collections/notes/documents", documents(TEXTS))
        for options, body in (([], {}), (["--mode", "semantic", "--count", "2"], {"mode": "semantic", "count": 2}),
                              (["--mode", "keyword"], {"mode": "keyword"}), (["--rerank", "mmr"], {"rerank": "mmr"}),
                              (["--threshold", "0.2"], {"threshold": 0.2}), (["--type", "code_search"], {"type": "code_search"})):
            run = subprocess.run([program, "search", "stars over boats", "--db", os.path.join(s.home, "x.db"), "-c", "notes", "--json", *options],
                                 env=environment(s.home), capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run.stderr
            want, got = json.loads(run.stdout), find(s, "stars over boats", **body)
            want.pop("ms"), got.pop("ms"), want.pop("legs", 0)
            assert want == got, (options, want, got)


SHOP = {"shop/cart.py": "class Cart:\n    def total(self, orders):\n        return sum(price(order) for order in orders)\n\n\n"
                        "def price(order):\n    return order['total'] / order['count']\n",
        "shop/other.py": "def price(order):\n    return order['price']\n"}
TRACE = ('Traceback (most recent call last):\n  File "/srv/x/shop/cart.py", line 3, in total\n    return sum(price(order) for order in orders)\n'
         '  File "/srv/x/shop/cart.py", line 7, in price\n    return order["total"] / order["count"]\nZeroDivisionError: division by zero\n')


def test_code():
    """Filters about chunks, preferred kinds and stack traces, as the program has them."""
    grammars = os.environ.get("SX_TEST_GRAMMARS")
    if not grammars:
        print("without SX_TEST_GRAMMARS: symbols and kinds are not looked at")
    with Server("--db", "x.db") as s:
        for path, text in SHOP.items():
            os.makedirs(os.path.join(s.home, "src", os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(s.home, "src", path), "w") as file:
                file.write(text)
        env = {**environment(s.home), **({"SEXTANT_GRAMMARS": grammars} if grammars else {})}
        subprocess.run([program, "index", os.path.join(s.home, "src"), "--db", os.path.join(s.home, "x.db"), "-c", "code", "--chunk-size", "24", "-q"],
                       env=env, check=True, timeout=60)
        for query, options, body in (
                ("price of an order", ["--filter", "path^=shop/c", "--filter", "line>=6"], {"filters": ["path^=shop/c", "line>=6"]}),
                ("price of an order", ["--filter", "symbol=pri* and kind=function"], {"filters": ["symbol=pri* and kind=function"]}),
                ("price of an order", ["--prefer", "class,method"], {"prefer": "class,method"}),
                (TRACE, ["--type", "error_analysis"], {"type": "error_analysis"})):
            run = subprocess.run([program, "search", query, "--db", os.path.join(s.home, "x.db"), "-c", "code", "--json", *options],
                                 env=env, capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run.stderr
            want, got = json.loads(run.stdout), find(s, query, "code", **body)
            want.pop("ms"), got.pop("ms"), want.pop("legs", 0)
            assert want == got, (options, want, got)
        found = find(s, "price of an order", "code", filters=["line=7 and file=cart.py"])
        assert [(h["document"], h["end_line"] >= 7) for h in found["hits"]] == [("shop/cart.py", True)], found
        first = find(s, TRACE, "code", type="error_analysis")["hits"][0]
        assert first["document"] == "shop/cart.py" and first["why"] == "stack trace: frame 1 of 2, /srv/x/shop/cart.py:7 in price", first
        assert "why" not in find(s, TRACE, "code")["hits"][0]
        if grammars:
            found = find(s, "price", "code", filters=["symbol=price", "kind=function"], count=10)
            assert sorted(ids(found)) == ["shop/cart.py", "shop/other.py"] and found["hits"][0]["symbols"][0]["name"] == "price", found


def test_bad_requests():
    with Server("--db", "x.db") as s:
        make(s)
        path = "/v1/collections/notes/documents"
        for target, body, status in (
                (path, {"documents": []}, 400), (path, {}, 400), (path, {"documents": [{"id": "a"}]}, 400), (path, {"documents": [{"text": "a"}]}, 400),
                (path, {"documents": [{"id": "", "text": "a"}]}, 400), (path, {"documents": [{"id": "a\nb", "text": "a"}]}, 400),
                (path, {"documents": [{"id": "a\x00b", "text": "a"}]}, 400), (path, {"documents": [{"id": "a", "text": "a"}, {"id": "a", "text": "b"}]}, 400),
                (path, {"documents": [{"id": "a", "text": "a", "metadata": [1]}]}, 400), (path, {"documents": [{"id": "a", "text": "a", "path": "/etc"}]}, 400),
                (path, {"documents": [{"id": "a", "text": "a", "media_type": "application/pdf"}]}, 200),
                ("/v1/collections", {"name": "a/b"}, 400), ("/v1/collections", {"name": ""}, 400), ("/v1/collections", {"name": 7}, 400),
                ("/v1/collections", {"name": "x", "model": "nobody"}, 404), ("/v1/collections", {"name": "x", "chunks": {"strategy": "nonsense"}}, 400),
                ("/v1/collections/notes/search", {"query": ""}, 400), ("/v1/collections/notes/search", {"query": " "}, 400),
                ("/v1/collections/notes/search", {"query": "a", "mode": "magic"}, 400), ("/v1/collections/notes/search", {"query": "a", "count": 0}, 400),
                ("/v1/collections/notes/search", {"query": "a", "filters": ["=="]}, 400), ("/v1/collections/notes/search", {"query": "a", "rerank": "model"}, 400),
                ("/v1/jobs", {"source": "/etc"}, 400), ("/v1/jobs", {"source": "../.."}, 400), ("/v1/jobs", {"source": "/etc", "collection": "a"}, 404), ("/v1/jobs", {"path": "/etc"}, 400), ("/v1/jobs", {}, 400)):
            got, answer, _ = s.ask(target, body)
            assert got == status, (target, body, got, answer)
            assert got == 200 or set(answer["error"]) == {"code", "message", "hint"}, answer
        assert s.ask("/v1/collections", b"{")[0] == 400 and s.ask("/v1/jobs/7")[0] == 404 and s.ask("/v1/jobs/x", method="DELETE")[0] == 404
        assert s.ask("/v1/collections/..%2f..%2fetc")[0] == 404


def restart(s, *options):
    """Kills the server as a power cut would, and starts it again on the same files."""
    s.process.kill()
    s.process.wait()
    s.process.stderr.close()
    s.said = ""
    s.process = subprocess.Popen([program, "serve", "--port", "0", "-m", "minilm=" + os.environ["SX_TEST_MODEL"], "--access-log", s.log, *options],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=s.home, env=environment(s.home))
    s.wait_ready()


def test_kill():
    """Documents whose adding was answered are there after kill -9, whenever it came; those taken out stay out."""
    with Server("--db", "x.db") as s:
        make(s)
        known, number = set(), 0
        for round_number in range(3):
            stop, answered = threading.Event(), []

            def write(start):
                at = start
                while not stop.is_set():
                    name = f"d{at}"
                    try:
                        if s.ask("/v1/collections/notes/documents", documents({name: f"Note {at} is about subject {at * 7}."}))[0] == 200:
                            answered.append(name)
                    except (OSError, ValueError, http.client.HTTPException):
                        return
                    at += 2

            writers = [threading.Thread(target=write, args=(number + i,)) for i in range(2)]
            for w in writers:
                w.start()
            time.sleep(0.7 + 0.3 * round_number)
            s.process.kill()
            stop.set()
            for w in writers:
                w.join()
            known |= set(answered)
            number += 1000
            restart(s, "--db", "x.db")
            found = set(ids(find(s, "note about a subject", count=1000)))
            assert known <= found and len(answered) > 0, (len(known), known - found)
        gone = sorted(known)[0]
        assert s.ask("/v1/collections/notes/documents/" + gone, method="DELETE")[1]["removed"] == 1
        restart(s, "--db", "x.db")
        assert gone not in ids(find(s, "note about a subject", count=1000))
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(30) == 0


def wait_job(s, number, states=("done", "failed", "stopped"), seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = s.ask(f"/v1/jobs/{number}")[1]
        if job["state"] in states:
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_jobs():
    with tempfile.TemporaryDirectory() as folder:
        for i in range(80):
            with open(os.path.join(folder, f"file{i}.txt"), "w") as f:
                f.write("\n\n".join(f"Paragraph {j} of file {i} tells of thing {i * 12 + j}." for j in range(12)))
        with Server("--db", "x.db", "--source", "notes=" + folder, "--grace", "5") as s:
            assert s.ask("/v1/jobs")[1] == {"jobs": [], "sources": ["notes"]}
            status, job, headers = s.ask("/v1/jobs", {"source": "notes"})
            assert status == 202 and job["collection"] == "notes" and headers["location"] == f"/v1/jobs/{job['id']}"
            assert s.ask("/v1/jobs", {"source": "notes"})[0] == 409
            seen = set()
            while s.ask(f"/v1/jobs/{job['id']}")[1]["state"] in ("queued", "running"):
                seen.add(s.ask(f"/v1/jobs/{job['id']}")[1].get("progress", {}).get("phase"))
                if "embedding" in seen:
                    break
            start = time.monotonic()
            assert s.ask("/v1/embeddings", {"input": "meanwhile"})[0] == 200 and time.monotonic() - start < 5
            assert s.ask(f"/v1/jobs/{job['id']}", method="DELETE")[0] == 200
            stopped = wait_job(s, job["id"])
            assert stopped["state"] in ("stopped", "done"), stopped
            again = s.ask("/v1/jobs", {"source": "notes"})[1]
            done = wait_job(s, again["id"], seconds=200)
            assert done["state"] == "done" and done["result"]["documents"]["total"] == 80, done
            assert ids(find(s, "thing 313", mode="keyword"))
            assert folder not in json.dumps(s.ask("/v1/jobs")[1])
            s.ask("/v1/collections/notes/documents", documents(TEXTS))
            assert wait_job(s, s.ask("/v1/jobs", {"source": "notes"})[1]["id"])["result"]["documents"]["removed"] == 0
            assert ids(find(s, "herring", mode="keyword")) == ["boats"]


def test_rerank():
    ranker = os.path.join(families, "cross-bert")
    texts = ["the cat sat on the mat", "stocks fell sharply today", "a kitten rests on a rug"]
    with tempfile.TemporaryDirectory() as home:
        run = subprocess.run([program, "rerank", "-m", ranker, "--json", "where is the cat?", *texts], env=environment(home), capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    want = [(r["index"], r["score"]) for r in json.loads(run.stdout)["results"]]
    with Server("--db", "x.db", models=("minilm=" + os.environ["SX_TEST_MODEL"], "ranker=" + ranker)) as s:
        for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
            status, answer, _ = s.ask(path, {"model": "ranker", "query": "where is the cat?", "documents": [texts[0], {"text": texts[1]}, texts[2]], "return_documents": True})
            assert status == 200 and [(r["index"], r["relevance_score"]) for r in answer["results"]] == want, (answer, want)
            assert answer["results"][0]["document"]["text"] == texts[want[0][0]] and answer["model"] == "ranker"
            assert len(s.ask(path, {"query": "where is the cat?", "documents": texts, "top_n": 1})[1]["results"]) == 1
        tei = s.ask("/rerank", {"query": "where is the cat?", "texts": texts, "return_text": True})[1]
        assert [(r["index"], r["score"]) for r in tei] == want and tei[0]["text"] == texts[want[0][0]]
        raw = s.ask("/rerank", {"query": "where is the cat?", "texts": texts, "raw_scores": True})[1]
        assert [r["index"] for r in raw] == [i for i, _ in want]
        pair = s.ask("/predict", {"inputs": ["where is the cat?", texts[0]]})[1]
        assert pair == [{"score": dict(want)[0], "label": "LABEL_0"}], pair
        assert s.ask("/predict", {"inputs": [["where is the cat?", t] for t in texts]})[1] == [[{"score": dict(want)[i], "label": "LABEL_0"}] for i in range(3)]
        assert s.ask("/rerank", {"query": "x", "texts": []})[0] == 400 and s.ask("/rerank", {"texts": ["a"]})[0] == 422
        assert s.ask("/v2/rerank", {"query": "x", "documents": ["a"], "model": "minilm"})[0] == 400
        assert "message" in s.ask("/v1/rerank", {"documents": ["a"]})[1] and s.ask("/predict", {"inputs": "one"})[0] == 422
        make(s)
        s.ask("/v1/collections/notes/documents", documents(TEXTS))
        assert find(s, "stars", rerank="model")["rerank"] == "model"


run_tests(globals())
