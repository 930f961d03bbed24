#!/usr/bin/env python3
"""Caches that machines share, against real servers which the test starts, freezes, kills and fills.

test_shared_cache.py SEXTANT FIXTURES [NAME...]. A "machine" is a home with a database of its own."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from servers import Postgres, Redis, free_port  # noqa: E402

SEXTANT, FIXTURES = map(os.path.abspath, sys.argv[1:3])
SECRETS = ("correct", "horse", "battery", "staple", "sesame", "wrong-word", "keeper")
scratch = tempfile.mkdtemp(prefix="machines-")
machines = 0


class Machine:
    def __init__(self):
        global machines
        machines += 1
        self.home = "%s/%d" % (scratch, machines)
        os.mkdir(self.home)

    def start(self, words, url=None, **more):
        environment = {"HOME": self.home, "PATH": os.environ["PATH"], **more}
        if url:
            environment["SHARED_CACHE_URL"] = url
        return subprocess.Popen([SEXTANT, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home)

    def finish(self, process, code=0):
        out, self.said = process.communicate(timeout=100)
        assert process.returncode == code, "exit %d: %s%s" % (process.returncode, out[-500:], self.said)
        for secret in SECRETS:
            assert secret not in self.said + out, "%s in %s" % (secret, self.said)
        assert self.said.count("warning: shared cache") <= 1, "said more than once: " + self.said
        return out

    def run(self, *words, url=None, code=0, **more):
        return self.finish(self.start(words, url, **more), code)

    def embed_words(self, texts, model="fake:x", *more):
        with open(self.home + "/texts", "w") as file:
            file.writelines(text + "\n" for text in texts)
        return ["embed", "-m", model, "-i", "texts", "-o", "vectors.json", *more]

    def vectors(self):
        result = json.load(open(self.home + "/vectors.json"))
        return [item["embedding"] for item in result["data"]], result["usage"]

    def embed(self, url, texts, *more, model="fake:x"):
        """(vectors, usage, seconds)"""
        began = time.monotonic()
        self.run(*self.embed_words(texts, model, *more), url=url)
        return (*self.vectors(), time.monotonic() - began)

    def stats(self, url=None):
        return json.loads(self.run("cache", "stats", "--json", url=url))


def numbered(first, count):
    return ["text number %d" % number for number in range(first, first + count)]


def expect(usage, **counts):
    for name, count in counts.items():
        assert usage["cache"][name] == count, "%s is %s, expected %d: %s" % (name, usage["cache"][name], count, usage)


def share(server):
    """Two machines; the second embeds nothing, and has the same bits."""
    one, two = Machine(), Machine()
    first, usage, _ = one.embed(server.url(), numbered(0, 1500))
    expect(usage, hits=0, shared_hits=0, misses=1500)
    second, usage, _ = two.embed(server.url(), numbered(0, 1500))
    expect(usage, hits=0, shared_hits=1500, misses=0)
    assert usage["cached"] == 1500 and first == second
    # What was found is in the machine's own database now: the server is not asked for it again.
    _, usage, _ = two.embed(server.url(), numbered(0, 1500))
    expect(usage, hits=1500, shared_hits=0, misses=0)
    stats = two.stats(server.url())
    assert stats["hits"] == 1500 and stats["shared_hits"] == 1500 and stats["misses"] == 0 and stats["hit_rate"] == 1.0, stats
    assert stats["shared_cache"]["reachable"] and stats["shared_cache"]["entries"] == 1500, stats
    # Others' recipes are others' vectors.
    _, usage, _ = Machine().embed(server.url(), numbered(0, 100), model="fake:y")
    expect(usage, shared_hits=0, misses=100)
    # With equal texts and known ones among them.
    _, usage, _ = two.embed(server.url(), numbered(1400, 200) + numbered(1400, 200))
    expect(usage, hits=100, shared_hits=0, misses=100)


def share_a_real_model(server):
    texts = ["the quick brown fox", "", "jumps over", "the lazy dog " * 400]
    one, two = Machine(), Machine()
    model = FIXTURES + "/families/bert"
    first, usage, _ = one.embed(server.url(), texts, model=model)
    expect(usage, shared_hits=0, misses=4)
    second, usage, _ = two.embed(server.url(), texts, model=model)
    expect(usage, shared_hits=4, misses=0)
    assert first == second
    items = [json.load(open(machine.home + "/vectors.json"))["data"] for machine in (one, two)]
    for mine, theirs in zip(*items):
        assert theirs["cached"] and not mine["cached"], theirs
        assert all(mine[key] == theirs[key] for key in ("tokens", "truncated", "dropped_tokens")), (mine, theirs)
    # Documents too, and in a collection.
    for machine, key in ((one, "embedded"), (two, "cached")):
        os.mkdir(machine.home + "/docs")
        for number in range(5):
            with open("%s/docs/%d.md" % (machine.home, number), "w") as file:
                file.write("# Title %d\n\nA paragraph about the number %d.\n" % (number, number))
        alone = json.loads(machine.run("index", "-m", model, "docs", "--dry-run", "--json"))["chunks"]
        asked = json.loads(machine.run("index", "-m", model, "docs", "--dry-run", "--json", url=server.url()))["chunks"]
        assert alone["embedded"] == asked[key] == asked["total"] == 5, (alone, asked)
        report = json.loads(machine.run("index", "-m", model, "docs", "--json", url=server.url()))
        assert report["chunks"][key] == report["chunks"]["total"] == 5, report
        assert report["cache"]["shared_hits"] == (5 if key == "cached" else 0), report


def down_at_start(server):
    machine = Machine()
    server.kill()
    vectors, usage, seconds = machine.embed(server.url(), numbered(5000, 300))
    assert "going on without it" in machine.said and len(vectors) == 300 and all(vectors), machine.said
    expect(usage, misses=300, shared_unreachable=300)
    assert seconds < 10, seconds
    stats = machine.stats(server.url())
    assert not stats["shared_cache"]["reachable"] and stats["shared_cache"]["problem"], stats
    server.start()


def killed_in_the_middle(server):
    machine = Machine()
    process = machine.start(machine.embed_words(numbered(6000, 2000), "fake:x?slow_ms=20"), server.url())
    time.sleep(0.7)
    assert process.poll() is None
    server.kill()
    machine.finish(process)
    vectors, usage = machine.vectors()
    assert len(vectors) == 2000 and all(vectors) and "going on without it" in machine.said, machine.said
    server.start()


def frozen(server):
    """Stopped before the start, and then in the middle: a server that takes connections and says nothing."""
    machine = Machine()
    server.freeze()
    try:
        vectors, usage, seconds = machine.embed(server.url(), numbered(9000, 300))
    finally:
        server.thaw()
    assert len(vectors) == 300 and all(vectors) and seconds < 8, seconds
    assert "in time" in machine.said, machine.said
    machine = Machine()
    began = time.monotonic()
    process = machine.start(machine.embed_words(numbered(9500, 1000), "fake:x?slow_ms=30"), server.url())
    time.sleep(0.7)
    server.freeze()
    try:
        machine.finish(process)
    finally:
        server.thaw()
    assert time.monotonic() - began < 15, "a frozen server holds it up"
    assert len(machine.vectors()[0]) == 1000


def wrong_password(server):
    machine = Machine()
    vectors, usage, _ = machine.embed(server.url(password="wrong-word"), numbered(0, 50))
    assert len(vectors) == 50 and "going on without it" in machine.said
    expect(usage, misses=50, shared_unreachable=50)


def hit_rate_as_counted():
    """What is reported equals what Redis counts: 60 % of the second machine's texts are there."""
    redis = Redis()
    try:
        Machine().embed(redis.url(3), numbered(0, 600))
        hits, misses = redis.counted()
        assert (hits, misses) == (0, 600), (hits, misses)
        machine = Machine()
        _, usage, _ = machine.embed(redis.url(3), numbered(0, 1000))
        now_hits, now_misses = redis.counted()
        expect(usage, hits=0, shared_hits=now_hits - hits, misses=now_misses - misses)
        assert usage["cache"]["hit_rate"] == 0.6 == (now_hits - hits) / 1000, usage
        assert "600 in the shared cache" in machine.said and "60.0 %" in machine.said, machine.said
        assert redis.command("DBSIZE", database=3) == 1000 and redis.command("DBSIZE") == 0
    finally:
        redis.close()


def corpus_passes():
    """A documentation corpus through `index`: the second pass finds all of it, one after half of the files were edited what is the same; as Redis
    counts it."""
    redis = Redis()
    corpus = scratch + "/corpus"
    shutil.copytree(sys.argv[2] + "/../../docs", corpus, ignore=shutil.ignore_patterns("man", "pictures", "*.png"))

    def pass_of(machine):
        before = redis.counted()
        report = json.loads(machine.run("index", corpus, "-m", "fake:x", "--json", url=redis.url()))
        hits, misses = (now - then for now, then in zip(redis.counted(), before))
        use = report["cache"]
        assert (use["shared_hits"], use["misses"]) == (hits, misses), "reported %s, counted %d and %d" % (use, hits, misses)
        return use

    try:
        one, two = Machine(), Machine()
        first = pass_of(one)
        assert first["hit_rate"] == 0 and first["misses"] > 100, first
        assert pass_of(two)["hit_rate"] == 1.0
        pass_of(two)
        for name in sorted(os.listdir(corpus))[::2]:
            with open(corpus + "/" + name, "a") as file:
                file.write("\n\n## Added since\n\nA section that %s did not have.\n" % name)
        edited = pass_of(Machine())
        assert 0.4 < edited["hit_rate"] < 1, edited
        print("   %d chunks; second pass 100 %%, after editing half of the files %.0f %%, as Redis counts it" %
              (first["misses"], 100 * edited["hit_rate"]))
    finally:
        redis.close()


def keys_of(server, database=0):
    return sorted(server.command("KEYS", "sextant:v1:*", database=database))


def damaged_redis(server):
    server.command("FLUSHALL")
    first, _, _ = Machine().embed(server.url(), numbered(0, 200))
    keys = keys_of(server)
    server.command("SETRANGE", keys[0], 20, b"\xff")             # one byte of a vector
    server.command("SETRANGE", keys[1], 8, b"\x07")              # its tokens
    server.command("SET", keys[2], b"short")                     # other lengths
    server.command("SET", keys[3], b"x" * 3000000)
    server.command("SET", keys[4], b"")
    server.command("SET", keys[5], server.command("GET", keys[6]))  # another key's value
    server.command("DEL", keys[7], keys[8], keys[9])
    server.command("RPUSH", keys[7], "a", "b")                   # other types
    server.command("HSET", keys[8], "a", "b")
    machine = Machine()
    second, usage, _ = machine.embed(server.url(), numbered(0, 200))
    expect(usage, shared_hits=191, misses=9, shared_unreachable=0)
    assert first == second and "warning" not in machine.said, machine.said
    third, usage, _ = Machine().embed(server.url(), numbered(0, 200))
    expect(usage, shared_hits=200)
    assert first == third


def damaged_postgres(server):
    server.ask("DROP TABLE IF EXISTS sextant_vectors")
    first, _, _ = Machine().embed(server.url(), numbered(0, 200))
    some = "hash IN (SELECT hash FROM sextant_vectors ORDER BY hash OFFSET %d LIMIT 3)"
    server.ask("UPDATE sextant_vectors SET vector = set_byte(vector, 21, 255 - get_byte(vector, 21)) WHERE " + some % 0)
    server.ask("UPDATE sextant_vectors SET vector = '\\x00' WHERE " + some % 3)
    server.ask("UPDATE sextant_vectors SET vector = (SELECT vector FROM sextant_vectors ORDER BY hash DESC LIMIT 1) WHERE " + some % 6)
    second, usage, _ = Machine().embed(server.url(), numbered(0, 200))
    expect(usage, shared_hits=191, misses=9, shared_unreachable=0)
    third, usage, _ = Machine().embed(server.url(), numbered(0, 200))
    expect(usage, shared_hits=200)
    assert first == second == third


def expiry_redis(server):
    server.command("FLUSHALL")
    Machine().embed(server.url(), numbered(0, 20))
    assert 2591990 <= server.command("TTL", keys_of(server)[0]) <= 2592000  # 30 days
    server.command("FLUSHALL")
    Machine().embed(server.url(), numbered(0, 20), "--shared-cache-ttl", "1")
    time.sleep(1.3)
    _, usage, _ = Machine().embed(server.url(), numbered(0, 20))
    expect(usage, shared_hits=0, misses=20)


def expiry_postgres(server):
    server.ask("DROP TABLE IF EXISTS sextant_vectors")
    Machine().embed(server.url(), numbered(0, 20), "--shared-cache-ttl", "3600")
    assert server.ask("SELECT count(*) FROM sextant_vectors WHERE expires BETWEEN now() + interval '59 minutes'"
                      " AND now() + interval '1 hour'") == "20"
    server.ask("UPDATE sextant_vectors SET expires = expires - interval '61 minutes'"
               " WHERE hash IN (SELECT hash FROM sextant_vectors LIMIT 5)")
    _, usage, _ = Machine().embed(server.url(), numbered(0, 20))
    expect(usage, shared_hits=15, misses=5)
    server.ask("UPDATE sextant_vectors SET expires = now() - interval '1 second'")
    Machine().embed(server.url(), numbered(100, 1))
    assert server.ask("SELECT count(*) FROM sextant_vectors") == "1", "expired rows are taken out"


def full_redis(server):
    """Nothing can be put any more, but what is there is still found."""
    server.command("FLUSHALL")
    Machine().embed(server.url(), numbered(0, 100))
    server.command("CONFIG", "SET", "maxmemory", "1mb")
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    try:
        machine = Machine()
        vectors, usage, _ = machine.embed(server.url(), numbered(0, 400))
        expect(usage, shared_hits=100, misses=300, shared_unreachable=0)
        assert len(vectors) == 400 and "OOM" in machine.said and "nothing more is put" in machine.said, machine.said
        assert server.command("DBSIZE") == 100
    finally:
        server.command("CONFIG", "SET", "maxmemory", "0")


def no_right_to_write(server):
    server.ask("DROP TABLE IF EXISTS sextant_vectors")
    Machine().embed(server.url(), numbered(0, 100))
    server.ask("CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT SELECT ON sextant_vectors TO reader")
    machine = Machine()
    vectors, usage, _ = machine.embed(server.url("x", "reader"), numbered(0, 150))
    expect(usage, shared_hits=100, misses=50, shared_unreachable=0)
    assert "nothing more is put" in machine.said, machine.said


def two_at_once(server):
    """Two machines that put the same rows in the same moment, the table not there yet: both go on, and nothing is said."""
    if isinstance(server, Postgres):
        server.ask("DROP TABLE IF EXISTS sextant_vectors")
    pair = [Machine(), Machine()]
    processes = [machine.start(machine.embed_words(numbered(20000, 1000)), server.url()) for machine in pair]
    for machine, process in zip(pair, processes):
        machine.finish(process)
        assert "warning" not in machine.said, machine.said
    assert pair[0].vectors()[0] == pair[1].vectors()[0]


def no_such_server():
    """Something else that answers on the port, and settings that cannot be meant."""
    machine = Machine()
    vectors, usage, seconds = machine.embed("redis://127.0.0.1:%d" % free_port(), numbered(0, 10))
    assert len(vectors) == 10 and seconds < 5
    for url in ("rediss://:sesame@host", "http://host", "redis://:sesame@host:99999999", "redis://:horse/sesame@host/0", "redis://",
                "postgresql://keeper:sesame@host:port:x/%zz", "redis://host/name", "redis://host?ssl=1"):
        machine.run(*machine.embed_words(["a"]), url=url, code=1 if url.startswith("rediss") else 2)
    # An address in a working directory's .env is not taken unless the file is named; other programs' settings are not taken at all.
    with open(machine.home + "/.env", "w") as file:
        file.write("SHARED_CACHE_URL=redis://127.0.0.1:1/\n")
    machine.run(*machine.embed_words(["a"]), code=2)
    machine.run(*machine.embed_words(["a"]), "--env-file", ".env")
    os.unlink(machine.home + "/.env")
    machine.run(*machine.embed_words(["b"]), REDIS_URL="redis://127.0.0.1:1/", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert "shared" not in machine.said, machine.said
    machine.run(*machine.embed_words(["c"]), "--no-cache", "--shared-cache", "redis://127.0.0.1:1", code=2)
    # A password is not taken from the command line, where ps shows it.
    for url in ("redis://:sesame@127.0.0.1:1", "postgresql://keeper:sesame@127.0.0.1/x", "postgresql://127.0.0.1/x?password=sesame"):
        machine.run(*machine.embed_words(["c"]), "--shared-cache", url, code=2)
    machine.run(*machine.embed_words(["c"]), "--shared-cache", "redis://127.0.0.1:1")
    assert "going on without it" in machine.said, machine.said


def liars():
    """Servers that speak something else, say too much, stop in the middle of a value, or hang up."""
    for reply in (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"", b"$-7\r\n", b"*2000000000\r\n", b"$999999999999\r\n",
                  b"+PONG\r\n" + b"$64\r\nhalf", b"+PONG\r\n" + b"+" + b"x" * 3000000, b"+PONG\r\n" + b":1\r\n" * 64,
                  b"R\x00\x00\x00\x08\x00\x00\x00\x00" + b"\xff" * 1000, os.urandom(4096)):
        for scheme in ("redis", "postgresql"):
            listener = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=lie, args=(listener, reply), daemon=True).start()
            machine = Machine()
            vectors, usage, seconds = machine.embed("%s://127.0.0.1:%d" % (scheme, listener.getsockname()[1]), numbered(0, 40))
            listener.close()
            expect(usage, shared_hits=0, misses=40, shared_unreachable=40)
            assert all(vectors) and "going on without it" in machine.said and seconds < 8, (reply[:30], seconds, machine.said)


def lie(listener, reply):
    try:
        while True:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(reply)
            connection.close()
    except OSError:
        pass


def main():
    wanted = sys.argv[3:]
    cases = [("settings", no_such_server), ("hit_rate", hit_rate_as_counted), ("corpus", corpus_passes),
             ("liars", liars)]
    common = (share, share_a_real_model, two_at_once, wrong_password, frozen, killed_in_the_middle, down_at_start)
    servers = {}

    def on(kind, case):
        def run():
            if kind not in servers:
                servers[kind] = {"redis": Redis, "postgres": Postgres}[kind]()
            case(servers[kind])
        return run

    for kind, own in (("redis", (damaged_redis, expiry_redis, full_redis)),
                      ("postgres", (damaged_postgres, expiry_postgres, no_right_to_write))):
        cases += [("%s_%s" % (kind, case.__name__), on(kind, case)) for case in (*common, *own)]
    failed = 0
    try:
        for name, case in cases:
            if wanted and not any(word in name for word in wanted):
                continue
            began = time.monotonic()
            try:
                case()
                print("ok %s (%.1f s)" % (name, time.monotonic() - began), flush=True)
            except AssertionError as problem:
                failed += 1
                print("FAILED %s: %s" % (name, problem), flush=True)
    finally:
        for server in servers.values():
            server.close()
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
