#!/usr/bin/env python3
"""load_server.py URL [SECONDS [CLIENTS...]]: requests a second, p50 and p99 of a server's /v1/embeddings at 1, 16 and 64 clients, for single texts and batches
of 32; for one client also what is not spent in the model (client's time less te_request_inference_duration). Standard library only."""
import json
import random
import re
import socket
import sys
import threading
import time
import urllib.parse

url = urllib.parse.urlparse(sys.argv[1])
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5
dice = random.Random(1)
WORDS = "the of boats harbour vector index search model token engine speed water light question answer north river field".split()


def text():
    return " ".join(dice.choice(WORDS) for _ in range(dice.randint(8, 24)))


def request(count):
    body = json.dumps({"model": "minilm", "input": text() if count == 1 else [text() for _ in range(count)]}).encode()
    return b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def answer(s):
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += s.recv(262144)
    assert b" 200 " in data[:20], bytes(data[:200])
    left = end + 4 + int(re.search(rb"content-length: (\d+)", data[:end], re.I).group(1)) - len(data)
    while left > 0:
        left -= len(s.recv(262144))


def in_model():
    with socket.create_connection((url.hostname, url.port)) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    return sum(float(v) for v in re.findall(r"te_request_inference_duration_sum\{[^}]*v1/embeddings[^}]*\} (\S+)", data))


def run(clients, count):
    times, stop = [], time.monotonic() + seconds

    def client():
        s = socket.create_connection((url.hostname, url.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < stop:
            data = request(count)
            start = time.perf_counter()
            s.sendall(data)
            answer(s)
            times.append(time.perf_counter() - start)
        s.close()

    before, start = in_model(), time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - start
    outside = sum(times) - (in_model() - before)
    times.sort()
    line = f"{count:3} texts {clients:3} clients: {len(times) / took:8.1f} req/s  p50 {times[len(times) // 2] * 1e3:8.2f} ms  p99 {times[int(len(times) * .99)] * 1e3:8.2f} ms"
    if clients == 1:
        line += f"  outside of the model {outside / len(times) * 1e3:.3f} ms ({100 * outside / sum(times):.1f} %)"
    print(line, flush=True)


for count in (1, 32):
    for clients in [int(c) for c in sys.argv[3:]] or (1, 16, 64):
        run(clients, count)
