#!/usr/bin/env python3
"""load_server.py [--sextant PROGRAM] [--peer NAME=COMMAND]... : servers under load, in turns, so that a busy machine is busy for all of them.

Each of --clients keeps one request under way on a connection of its own; texts are 8 to 24 words. Requests a second, p50 and p99 by the client's clock, and the
processor time a request costs the serving process; medians of --rounds. `engine` is the same engine without a server (`sextant bench --stdio`, one caller), for
what HTTP and JSON cost. A peer's COMMAND is started with the words {port} and {model} replaced, and is asked at /v1/embeddings, or, where NAME begins with
fastapi, at /embed with {"texts": [...]}. Example:

  bench/load_server.py --model FOLDER --options="--precision int8" --peer "fastapi=python bench/fastapi_service.py {model} {port}"

--url measures a server that runs already. One thread of the standard library sends all requests, so that clients do not disturb one another."""
import argparse
import json
import os
import random
import selectors
import shlex
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

WORDS = "the of boats harbour vector index search model token engine speed water light question answer north river field".split()
TICKS = os.sysconf("SC_CLK_TCK")


def make_texts(dice, count):
    return [" ".join(dice.choice(WORDS) for _ in range(dice.randint(8, 24))) for _ in range(count)]


def processor_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def request(path, body):
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data


class Client:
    """One request at a time on one connection."""

    def __init__(self, address, requests, dice):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests, self.dice = requests, dice

    def send(self):
        self.data, self.wanted = bytearray(), None
        self.start = time.perf_counter()
        self.socket.sendall(self.dice.choice(self.requests))

    def receive(self):
        """True when the answer is complete."""
        more = self.socket.recv(1 << 20)
        assert more, "the server closed a connection"
        self.data += more
        if self.wanted is None:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self.data[:end]).lower()
            assert b" 200 " in head[:20], bytes(self.data[:300])
            self.wanted = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        return len(self.data) >= self.wanted


class Server:
    """A server, ours or a peer: started here (command), or running already (url)."""

    def __init__(self, name, command=None, url=None, model=None):
        self.name, self.process, self.pid = name, None, None
        self.fastapi = name.startswith("fastapi")
        if command:
            port = free_port()
            words = [w.replace("{port}", str(port)).replace("{model}", model or "") for w in shlex.split(command)]
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.pid, self.address = self.process.pid, ("127.0.0.1", port)
            self.wait()
        else:
            parts = urllib.parse.urlparse(url)
            self.address = (parts.hostname, parts.port)

    def wait(self):
        end = time.monotonic() + 180
        while time.monotonic() < end:
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
            try:
                with urllib.request.urlopen("http://%s:%d/health" % self.address, timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{self.name} did not become ready")

    def requests(self, batches):
        if self.fastapi:
            return [request("/embed", {"texts": t}) for t in batches]
        return [request("/v1/embeddings", {"model": "minilm", "input": t[0] if len(t) == 1 else t}) for t in batches]

    def run(self, batches, clients, seconds):
        requests = self.requests(batches)
        all_clients = [Client(self.address, requests, random.Random(i)) for i in range(clients)]
        chooser, times = selectors.DefaultSelector(), []
        before = processor_s(self.pid) if self.pid else 0
        start = time.perf_counter()
        for client in all_clients:
            chooser.register(client.socket, selectors.EVENT_READ, client)
            client.send()
        while (now := time.perf_counter()) < start + seconds or len(times) < 3 * clients:
            for key, _ in chooser.select(1):
                client = key.data
                if client.receive():
                    times.append(time.perf_counter() - client.start)
                    client.send()
        took = now - start
        spent = (processor_s(self.pid) - before if self.pid else 0) / max(1, len(times))
        for client in all_clients:
            while not client.receive():
                pass
            client.socket.close()
        return figures(times, took, spent)

    def end(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


class Engine:
    """The engine without a server: one caller."""
    name = "engine"

    def __init__(self, program, model, options):
        self.process = subprocess.Popen([program, "bench", "--stdio", "-m", model, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid

    def run(self, batches, clients, seconds):
        lines = [json.dumps({"op": "embed", "mode": "own", "texts": t}).encode() + b"\n" for t in batches]
        dice, times = random.Random(0), []
        before, start = processor_s(self.pid), time.perf_counter()
        while time.perf_counter() < start + seconds:
            self.process.stdin.write(dice.choice(lines))
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
            assert answer["ok"], answer
            times.append(answer["ms"] / 1e3)
        return figures(times, sum(times), (processor_s(self.pid) - before) / len(times))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def figures(times, took, spent):
    times.sort()
    return (len(times) / took, times[len(times) // 2] * 1e3, times[int(len(times) * .99)] * 1e3, spent * 1e3) if times else (0, 0, 0, 0)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sextant", default=os.environ.get("SEXTANT", "build/sextant"), help="the program, or '' for none")
    p.add_argument("--model", default="minilm", help="name or folder")
    p.add_argument("--options", default="", help="further options of serve and bench")
    p.add_argument("--peer", action="append", default=[])
    p.add_argument("--url", action="append", default=[])
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--clients", default="1,16,64")
    p.add_argument("--batches", default="1,32")
    a = p.parse_args()
    servers, options = [], shlex.split(a.options)
    with tempfile.TemporaryDirectory() as folder:
        try:
            if a.sextant and not a.url:
                serve = [a.sextant, "serve", "--port", "{port}", "-m", "minilm=" + a.model, "--db", folder + "/db", *options]
                servers.append(Server("sextant", shlex.join(serve)))
                servers.append(Engine(a.sextant, a.model, options))
            servers += [Server(*peer.split("=", 1), model=a.model) for peer in a.peer] + [Server(u, url=u) for u in a.url]
            measure(servers, a)
        finally:
            for server in servers:
                server.end()


def measure(servers, a):
    for count in [int(c) for c in a.batches.split(",")]:
        dice = random.Random(count)
        batches = [make_texts(dice, count) for _ in range(200 if count == 1 else 40)]
        for clients in [int(c) for c in a.clients.split(",")]:
            rounds = {}
            for _ in range(a.rounds):
                for server in servers:
                    if clients == 1 or server.name != "engine":
                        rounds.setdefault(server.name, []).append(server.run(batches, clients, a.seconds))
            with open("/proc/loadavg") as f:
                print(f"{count} texts, {clients} clients (load {f.read().split()[0]})")
            first = None
            for name, runs in rounds.items():
                median = [statistics.median(v) for v in zip(*runs)]
                first = first or median
                print(f"  {name:10} {median[0]:8.1f} requests/s  p50 {median[1]:8.2f} ms  p99 {median[2]:8.2f} ms  processor {median[3]:8.3f} ms/request"
                      + (f"  sextant is {first[0] / median[0]:.2f} x, processor time {median[3] / max(first[3], 1e-9):.2f} x" if median is not first else ""), flush=True)


if __name__ == "__main__":
    main()
