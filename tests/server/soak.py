#!/usr/bin/env python3
"""soak.py SEXTANT [--minutes 30] [--seconds 10]: the server for long (make soak); SX_TEST_MODEL is the model's folder.

First 64 busy clients alone and beside 2,000 idle connections and 200 that send a byte now and then, in turns: the busy ones' p99 must stay within 2 x, memory
bounded. Then for some minutes everything at once: queries, large batches, broken requests, clients that hang up, documents that come and go, searches, a second
model that is loaded and unloaded, SIGHUP. Memory that is no file's may not grow after the first quarter, and all that was acknowledged must be there after kill -9."""
import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import load_server
from serving import Server, environment, families, model, program

MiB = 1 << 20


def say(text):
    print(time.strftime("%H:%M:%S ") + text, flush=True)


# ---- A crowd ----

def crowd(seconds, rounds=3):
    with Server("--read-timeout", "30", "--idle-timeout", "600") as s:
        peer = load_server.Server("sextant", url=f"http://127.0.0.1:{s.port}")
        batches = [load_server.make_texts(random.Random(i), 1) for i in range(200)]
        peer.run(batches, 64, 1)
        before, p99, most = s.memory(), {"alone": [], "beside": []}, 0
        for _ in range(rounds):
            p99["alone"].append(peer.run(batches, 64, seconds)[2])
            idle = [s.raw() for _ in range(2000)]
            slow = [s.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nX-Slow: ") for _ in range(200)]
            done = threading.Event()

            def drip():
                while not done.wait(0.5):
                    for one in slow:
                        try:
                            one.send(b"a")
                        except OSError:
                            pass  # the server has closed it, as it should

            dripping = threading.Thread(target=drip)
            dripping.start()
            p99["beside"].append(peer.run(batches, 64, seconds)[2])
            most = max(most, s.memory())
            done.set()
            dripping.join()
            for one in idle + slow:
                one.close()
        alone, beside = (statistics.median(p99[k]) for k in ("alone", "beside"))
        say(f"64 busy clients: p99 {alone:.1f} ms alone, {beside:.1f} ms beside 2,000 idle and 200 slow ones ({beside / alone:.2f} x); "
            f"memory {before / MiB:.1f} MiB, at most {most / MiB:.1f} MiB")
        assert beside < 2 * alone, "the crowd disturbs"
        assert most - before < 32 * MiB, "memory grows with idle connections"


# ---- Everything at once ----

class Mix:
    """Threads that do one kind of thing each, until told to stop; whatever answers wrongly is kept."""

    def __init__(self, server):
        self.server, self.stopping, self.wrong, self.counts, self.acknowledged = server, threading.Event(), [], {}, {}
        self.texts = load_server.make_texts(random.Random(0), 300)  # no more, so that the database does not grow for ever
        kinds = [self.query, self.query, self.batch, self.broken, self.vanish, self.documents, self.search, self.other_model, self.hang_up]
        self.threads = [threading.Thread(target=self.repeat, args=(kind, i)) for i, kind in enumerate(kinds)]
        status = server.ask("/v1/collections", {"name": "soak"})
        assert status[0] in (200, 201), status
        for t in self.threads:
            t.start()

    def repeat(self, kind, number):
        dice = random.Random(number)
        while not self.stopping.is_set():
            try:
                kind(dice)
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
            except (AssertionError, OSError, http.client.HTTPException, ValueError) as problem:
                self.wrong.append(f"{kind.__name__}: {problem!r}")
            time.sleep(dice.random() * 0.1)

    def end(self):
        self.stopping.set()
        for t in self.threads:
            t.join()

    def want(self, answer, *statuses):
        assert answer[0] in statuses, (answer[0], str(answer[1])[:300])
        return answer[1]

    def query(self, dice):
        rows = self.want(self.server.ask("/v1/embeddings", {"input": load_server.make_texts(dice, 1)}), 200)["data"]
        assert len(rows[0]["embedding"]) == 384

    def batch(self, dice):
        texts = load_server.make_texts(dice, dice.randint(2, 200))
        assert len(self.want(self.server.ask("/embed", {"inputs": texts}), 200)) == len(texts)

    def broken(self, dice):
        body = bytearray(json.dumps({"input": load_server.make_texts(dice, 3), "model": "minilm"}).encode())
        for _ in range(3):
            body[dice.randrange(len(body))] = dice.randrange(256)
        answer = self.server.ask(dice.choice(["/v1/embeddings", "/api/embed", "/v1/rerank", "/v2/embed", "/embed"]), bytes(body))
        assert answer[0] < 500 and (answer[0] == 200 or "error" in answer[1] or "message" in answer[1]), answer

    def vanish(self, dice):
        body = json.dumps({"input": load_server.make_texts(dice, 50)}).encode()
        data = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        with self.server.raw(data[:dice.randrange(len(data))] if dice.random() < 0.5 else data):
            time.sleep(dice.random() * 0.05)

    def documents(self, dice):
        names = [f"d{dice.randrange(200)}" for _ in range(dice.randint(1, 5))]
        names = list(dict.fromkeys(names))
        if dice.random() < 0.3:
            self.want(self.server.ask("/v1/collections/soak/documents", {"ids": names}, method="DELETE"), 200)
            for name in names:
                self.acknowledged.pop(name, None)
        else:
            texts = {name: dice.choice(self.texts) for name in names}
            self.want(self.server.ask("/v1/collections/soak/documents", {"documents": [{"id": n, "text": t} for n, t in texts.items()]}), 200)
            self.acknowledged.update(texts)

    def search(self, dice):
        self.want(self.server.ask("/v1/collections/soak/search", {"query": load_server.make_texts(dice, 1)[0], "count": 5}), 200)

    def other_model(self, dice):
        self.want(self.server.ask("/v1/embeddings", {"input": "a", "model": "second"}), 200)
        time.sleep(3 * dice.random())

    def hang_up(self, dice):
        self.server.process.send_signal(signal.SIGHUP)
        time.sleep(2)


def soak(minutes):
    with Server("--idle-unload", "2", "--db", "soak.db", models=("minilm=" + model, "second=" + os.path.join(families, "bert"))) as s:
        mix, start, memory = Mix(s), time.monotonic(), []
        said = start
        while time.monotonic() < start + 60 * minutes and not mix.wrong:
            time.sleep(1)
            memory.append((time.monotonic() - start, s.own_memory()))
            if time.monotonic() - said > 60:
                said = time.monotonic()
                say(f"{(said - start) / 60:.0f} min: {memory[-1][1] / MiB:.1f} MiB and {(s.memory() - memory[-1][1]) / MiB:.1f} MiB of files, {sum(mix.counts.values())} requests")
        mix.end()
        assert not mix.wrong, mix.wrong[:5]
        settled = [m for at, m in memory if 60 * minutes / 4 < at < 60 * minutes / 2]
        last = [m for at, m in memory if at > 60 * minutes * 3 / 4]
        first, end = statistics.median(settled), statistics.median(last)
        say(f"memory that is no file's: {memory[0][1] / MiB:.1f} MiB after a second, median {first / MiB:.1f} MiB in the second quarter, {end / MiB:.1f} MiB in the last; {mix.counts}")
        assert end < first * 1.03 + 4 * MiB, "memory grows"
        s.process.kill()
        s.process.wait()
        s.process.stderr.close()
        s.process = subprocess.Popen([program, "serve", "--port", "0", "-m", "minilm=" + model, "--db", "soak.db"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, cwd=s.home, env=environment(s.home))
        s.said = ""
        s.wait_ready()
        found = s.ask("/v1/collections/soak/search", {"query": "boats and the harbour", "count": 1000, "keep_duplicates": True})[1]["hits"]
        there = {hit["document"] for hit in found}
        assert there == set(mix.acknowledged), (len(there), len(mix.acknowledged), there ^ set(mix.acknowledged))
        say(f"after kill -9 all {len(there)} documents that were acknowledged are there, and no others")


p = argparse.ArgumentParser()
p.add_argument("program")
p.add_argument("--minutes", type=float, default=30)
p.add_argument("--seconds", type=float, default=10)
p.add_argument("--only", choices=["crowd", "soak"])
a = p.parse_args()
if a.only != "soak":
    crowd(a.seconds)
if a.only != "crowd":
    soak(a.minutes)
