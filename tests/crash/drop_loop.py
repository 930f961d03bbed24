#!/usr/bin/env python3
"""drop_loop.py --sextant PATH [--rounds N]: `sextant compress --drop-f32` killed by SIGKILL again and again while searches run. After each kill
the database is sound, says how far it got and answers as before; at the end all vectors are codes and nothing was embedded twice."""
import json
import os
import random
import sqlite3
import threading
import time

from crash_tools import COMPLAINTS, Program, Scratch, check_database, copy_of_database, fail, given_arguments

MODEL = "fake:dropped?dimensions=96"


def packed_in(path):
    connection = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    try:
        return connection.execute("SELECT count(packing), count(*), max(computed) FROM vector").fetchone()
    finally:
        connection.close()


def found(program, db, query="silver thunder"):
    """Passages and their similarities, of which codes may change the last digits."""
    done = program.must("search", query, "--db", db, "-n", "20", "--mode", "semantic", "--json")
    return {(h["document"], h["start"]): h["similarity"] for h in json.loads(done.out)["hits"]}


def main():
    given = given_arguments(__doc__, "none", 6000, rounds=12)
    chance = random.Random(given.seed)
    with Scratch() as scratch:
        program = Program(given.sextant, scratch)
        records, db = os.path.join(scratch, "records.jsonl"), os.path.join(scratch, "dropped.db")
        with open(records, "w", encoding="utf-8") as out:
            for i in range(given.files):
                out.write(json.dumps({"id": "r%d" % i, "text": "silver thunder and passage %d of %d" % (i, i * i)}) + "\n")
        program.must("index", records, "--input-format", "jsonl", "--db", db, "-m", MODEL)
        program.must("compress", "--to", "int8", "--yes", "--db", db)
        exact = found(program, db)
        whole_db = copy_of_database(db, os.path.join(scratch, "whole.db"))
        vectors = packed_in(db)[1]
        program.must("compress", "--to", "int8", "--yes", "--samples", "5", "--db", whole_db)
        began = time.monotonic()
        program.must("compress", "--drop-f32", "--yes", "--samples", "5", "--db", whole_db)
        whole = time.monotonic() - began
        over, wrong, searches = threading.Event(), [], [0]
        searching = threading.Lock()  # a search that ends empties the log into the database: not while that is copied

        def search():
            while not over.is_set() and not wrong:
                with searching:
                    done = program.run("search", "silver thunder", "--db", db, "-n", "20", "--mode", "semantic", "--json")
                if done.code != 0 or COMPLAINTS.search(done.out + done.err) or len(json.loads(done.out)["hits"]) != 20:
                    wrong.append("a search meanwhile: %s" % done)
                searches[0] += 1

        searcher = threading.Thread(target=search)
        searcher.start()
        kills, parts, ended = 0, set(), 0
        try:
            while kills < given.rounds and ended < 3 and not wrong:
                child = program.start("compress", "--drop-f32", "--yes", "--samples", "5", "--db", db)
                # Some when it has begun to drop, which is the shortest part of it.
                wanted = packed_in(db)[0] + chance.choice([1, 1, 1500]) if chance.random() < 0.7 else None
                pause, start = 1.1 * whole * chance.random(), time.monotonic()
                while child.poll() is None and (packed_in(db)[0] < wanted if wanted else time.monotonic() - start < pause):
                    time.sleep(0.0005)
                child.kill()
                out, err = child.communicate(timeout=20)
                if COMPLAINTS.search(out + err) or child.returncode not in (0, -9):
                    fail("a killed drop: exit %s: %r" % (child.returncode, err[-800:]))
                kills, ended = kills + (child.returncode == -9), ended + (child.returncode == 0)
                with searching:
                    copy = copy_of_database(db, os.path.join(scratch, "copy.db"))
                check_database(copy, "after kill %d" % kills)
                parts.add(packed_in(copy)[0])
                state = json.loads(program.must("status", "--db", db, "--json").out)["collections"][0]
                if state.get("dropped_f32", {}).get("vectors", 0) != packed_in(db)[0]:
                    fail("status says %r, the database has %r" % (state, packed_in(db)))
        finally:
            over.set()
            searcher.join()
        if wrong:
            fail(wrong[0])
        program.must("compress", "--drop-f32", "--yes", "--db", db)
        packed, all_vectors, computed = packed_in(db)
        if packed != vectors or all_vectors != vectors or computed != 1:
            fail("%d of %d vectors are packed, %d were there, one was embedded %d times" % (packed, all_vectors, vectors, computed))
        now = found(program, db)
        both = set(now) & set(exact)
        if len(both) < 18 or any(abs(now[h] - exact[h]) > 0.01 for h in both):
            fail("of 20 passages %d are found still" % len(both))
        left = [name for name in os.listdir(db + "-vectors") if not name.startswith("packed-")]
        if left:
            fail("files left behind: %r" % left)
        print("%d kills, stopped at %s of %d vectors, %d searches meanwhile" % (kills, sorted(parts), vectors, searches[0]))


main()
