#!/usr/bin/env python3
"""search_many.py --sextant PATH --keep FOLDER [--texts FOLDER...] [--passages N] [--only cold,server] [--rounds N] [--queries N]:
a search among N passages (100,000), as a process of its own and through the server, by meaning, by words and by both.

Makes the collection once, in FOLDER: passages of 1,000 characters of the text files (.py, .md, .rst, .txt) below --texts, each
with the vector of its first 32 tokens (int8), which takes minutes instead of an hour and costs a search the same. Queries are six
words in a row from a passage, never the same twice; filters pass most passages, a tenth, and a thousandth. Cold: the whole
process by the clock, page cache warm, and its processor's time. Server: one client after the other's answer, and four at once; the first
use of a filter is left out. Standard library only."""
import argparse
import hashlib
import json
import math
import os
import random
import re
import resource
import socket
import subprocess
import sys
import threading
import time

ENDINGS, LENGTH, MOST_OF_A_FILE = (".py", ".md", ".rst", ".txt"), 1000, 200
CASES = [(mode, filters) for mode in ("hybrid", "semantic", "keyword")
         for filters in ((), ("kind=py",), ("tenth=3",), ("thousandth=77",))]


def passages(folders, count):
    """(path, text), of each file at most MOST_OF_A_FILE, the files in an order of chance."""
    files, found, seen = [], [], set()
    for folder in folders:
        for where, _, names in os.walk(folder):
            files += [(folder, os.path.join(where, name)) for name in names if name.endswith(ENDINGS)]
    random.Random(1).shuffle(files := sorted(files))
    for folder, path in files:
        try:
            with open(path, encoding="utf-8") as f:
                text = f.read(LENGTH * MOST_OF_A_FILE)
        except (UnicodeDecodeError, OSError):
            continue
        for at in range(0, len(text) - LENGTH // 4, LENGTH):
            piece = text[at:at + LENGTH].replace("\0", " ")
            if piece not in seen and not piece.isspace():
                seen.add(piece)
                found.append((os.path.join(str(folders.index(folder)), os.path.relpath(path, folder)), piece))
        if len(found) >= count:
            return found[:count]
    sys.exit("search_many.py: only %d passages below %s" % (len(found), folders))


def read_rows(path):
    """Rows of a float32 .npy file as bytes."""
    with open(path, "rb") as f:
        f.seek(8)
        size = int.from_bytes(f.read(2), "little")
        rows, columns = map(int, re.search(r"\((\d+), (\d+)\)", f.read(size).decode()).groups())
        for _ in range(rows):
            yield memoryview(f.read(4 * columns)).cast("f")


def make(run, folder, texts, count):
    source, rows, small, big = (os.path.join(folder, name) for name in ("texts.jsonl", "rows.npy", "small.jsonl", "big.jsonl"))
    found = passages(texts, count)
    with open(source, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": text[:200]}) + "\n" for _, text in found)
    began = time.monotonic()
    run("embed", "-i", source, "--input-format", "jsonl", "--format", "npy", "-o", rows, "--max-length", "32",
        "--precision", "int8", "--no-cache", "--no-progress")
    print("embedded in %.0f s" % (time.monotonic() - began), flush=True)
    one = os.path.join(folder, "one")
    os.makedirs(one, exist_ok=True)
    with open(os.path.join(one, "a.txt"), "w", encoding="utf-8") as out:
        out.write("hello\n")
    run("index", one, "-c", "small", "--no-progress")
    run("collections", "export", "small", "--format", "jsonl", "-o", small)
    with open(small, encoding="utf-8") as lines:
        template = json.loads(lines.readline())
    last, number = None, 0
    with open(big, "w", encoding="utf-8") as out:
        for i, ((path, text), row) in enumerate(zip(found, read_rows(rows))):
            number = number + 1 if path == last else 0
            last = path
            line = {key: template[key] for key in template if i == 0 or key != "collection"}
            length = len(text.encode())
            line.update(document=path, text=text, index=number, start=number * 4 * LENGTH, end=number * 4 * LENGTH + length,
                        hash=hashlib.sha256(text.encode()).hexdigest(), embedding=[float("%.7g" % x) for x in row],
                        metadata={"kind": path.rsplit(".", 1)[1], "tenth": hash_of(path) % 10,
                                  "thousandth": hash_of(path) % 1000})
            out.write(json.dumps(line) + "\n")
    began = time.monotonic()
    run("collections", "import", "big", big, "--no-progress")
    print("imported in %.0f s" % (time.monotonic() - began), flush=True)
    for path in (source, rows, small, big):
        os.remove(path)
    with open(os.path.join(folder, "queries.json"), "w", encoding="utf-8") as out:
        json.dump(questions(found), out)


def hash_of(path):
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "little")


def questions(found):
    dice, made = random.Random(1), {}
    for _, text in dice.choices(found, k=20000):
        words = re.findall(r"[A-Za-z]{2,}", text)
        if len(words) > 12:
            at = dice.randrange(len(words) - 6)
            made[" ".join(words[at:at + 6])] = True
    return list(made)


def part(times, share):
    return sorted(times)[min(len(times) - 1, math.ceil(share * len(times)) - 1)]


def cold(program, db, queries, rounds):
    print("cold                     median     p90   least   processor   hits")
    for mode, filters in CASES:
        times, used, hits = [], [], 0
        for _ in range(rounds):
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            command = [program, "search", next(queries), "-c", "big", "--mode", mode, "--db", db, "--json"]
            for text in filters:
                command += ["--filter", text]
            answer = subprocess.run(command, check=True, capture_output=True).stdout
            times.append(1e3 * (time.monotonic() - began))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used.append(1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
            hits += len(json.loads(answer)["hits"])
        print("%-9s %-13s %6.1f  %6.1f  %6.1f   %6.1f ms   %.1f" % (
            mode, " ".join(filters), part(times, .5), part(times, .9), min(times), part(used, .5), hits / rounds), flush=True)


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, query, mode, filters):
        body = json.dumps({"query": query, "mode": mode, "filters": list(filters), "count": 5}).encode()
        head = "POST /v1/collections/big/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self.socket.sendall(("%sContent-Length: %d\r\n\r\n" % (head, len(body))).encode() + body)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self.socket.recv(65536)
            if not more:
                sys.exit("search_many.py: the server closed the connection: %r" % bytes(data))
            data += more
        length = int(re.search(rb"content-length: (\d+)", data[:end], re.I).group(1))
        while len(data) < end + 4 + length:
            data += self.socket.recv(65536)
        if b" 200 " not in data[:20]:
            sys.exit("search_many.py: %s" % bytes(data[:400]))
        return data


def served(port, queries, mode, filters, count, clients):
    times, lock = [], threading.Lock()

    def client():
        own, mine = Client(port), []
        own.ask("to begin with", mode, filters)
        for _ in range(count // clients):
            with lock:
                query = next(queries)
            began = time.perf_counter()
            own.ask(query, mode, filters)
            mine.append(1e3 * (time.perf_counter() - began))
        times.extend(mine)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def server(program, db, queries, count):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([program, "serve", "--port", str(port), "--db", db], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        print("server                 clients     p50     p90     p99    most  of the processor, each")
        for clients in (1, 4):
            for mode, filters in CASES:
                before = used_by(child.pid)
                times = served(port, queries, mode, filters, count, clients)
                print("%-9s %-13s %5d  %6.1f  %6.1f  %6.1f  %6.1f  %6.1f ms" % (
                    mode, " ".join(filters), clients, part(times, .5), part(times, .9), part(times, .99), max(times),
                    1e3 * (used_by(child.pid) - before) / len(times)), flush=True)
    finally:
        child.terminate()
        child.wait()


def used_by(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sextant", required=True)
    parser.add_argument("--keep", required=True, help="folder of the database")
    parser.add_argument("--texts", nargs="+", default=[])
    parser.add_argument("--passages", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--only", default="cold,server")
    asked = parser.parse_args()
    program, db = os.path.abspath(asked.sextant), os.path.join(asked.keep, "search.db")
    os.makedirs(asked.keep, exist_ok=True)

    def run(*arguments):
        return subprocess.run([program, *arguments, "--db", db], check=True, capture_output=True, text=True).stdout

    if not os.path.exists(os.path.join(asked.keep, "queries.json")):
        make(run, asked.keep, asked.texts, asked.passages)
    with open(os.path.join(asked.keep, "queries.json"), encoding="utf-8") as f:
        made = json.load(f)
    random.Random().shuffle(made)
    queries = iter(made)
    if "cold" in asked.only:
        cold(program, db, queries, asked.rounds)
    if "server" in asked.only:
        server(program, db, queries, asked.queries)


if __name__ == "__main__":
    main()
