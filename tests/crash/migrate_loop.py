#!/usr/bin/env python3
"""migrate_loop.py --sextant PATH [--rounds N] [--from REF] [--to REF]: `sextant migrate` killed by SIGKILL again and again, between two
models, there and back, while searches run. Every search must find as many passages as there are, all of one side; nothing may be embedded
twice; after each roll-back the collection is what it was, to the byte; at the end an undisturbed migration gives the same."""
import argparse
import json
import os
import random
import threading
import time

from crash_tools import BERT, COMPLAINTS, FIXTURES, Program, Scratch, Tree, check_database, copy_of_database, fail, same_exports

XLM_ROBERTA = os.path.abspath(os.path.join(FIXTURES, "families", "xlm-roberta"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sextant", required=True)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--source", default="fake:source?max_length=64")
    parser.add_argument("--target", default="fake:target?max_length=40&dimensions=16&slow_ms=3")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    source, target = ({"bert": BERT, "xlm-roberta": XLM_ROBERTA}.get(m, m) for m in (given.source, given.target))
    chance = random.Random(given.seed)

    with Scratch() as scratch:
        program = Program(given.sextant, scratch)
        tree = Tree(os.path.join(scratch, "docs"), given.seed)
        tree.add(40)
        db, calm = os.path.join(scratch, "killed.db"), os.path.join(scratch, "calm.db")
        of = {path: ["--db", path, "-c", "moved"] for path in (db, calm)}
        for path in (db, calm):
            program.must("index", tree.folder, *of[path], "-m", source)
        before = program.export(db, "moved")
        began = time.monotonic()
        program.must("migrate", *of[calm], "--to", target)
        whole = time.monotonic() - began
        after = program.export(calm, "moved")
        sides = {}
        for side, path in ((after, calm), (before, db)):
            hits = json.loads(program.must("search", "silver thunder", *of[path], "-n", "100000", "--json").out)["hits"]
            sides[json.dumps([(h["document"], h["start"], h["end"], h["similarity"]) for h in hits])] = 0
        if len(sides) != 2:
            fail("both sides answer alike")
        over, wrong, searches = threading.Event(), [], [0]
        searching = threading.Lock()  # a search that ends empties the log into the database: not while that is copied

        def search():
            while not over.is_set() and not wrong:
                with searching:
                    done = program.run("search", "silver thunder", *of[db], "-n", "100000", "--json")
                if done.code != 0 or COMPLAINTS.search(done.out + done.err):
                    wrong.append("a search meanwhile: %s" % done)
                    return
                hits = json.loads(done.out)["hits"]
                seen = json.dumps([(h["document"], h["start"], h["end"], h["similarity"]) for h in hits])
                if seen not in sides:
                    wrong.append("a search found %d passages of neither side: %s" % (len(hits), done))
                    return
                sides[seen] += 1
                searches[0] += 1

        searcher = threading.Thread(target=search)
        searcher.start()
        kills = ended = back = 0
        try:
            while kills < given.rounds and ended < 4 * given.rounds and not wrong:
                child = program.start("migrate", *of[db], "--to", target)
                pause, start = chance.choice([0.02, whole, whole, 1.2 * whole]) * chance.random(), time.monotonic()
                while child.poll() is None and time.monotonic() - start < pause:
                    time.sleep(0.0005)
                child.kill()
                out, err = child.communicate(timeout=20)
                if COMPLAINTS.search(out + err) or (child.returncode not in (0, -9) and b"already" not in err):
                    fail("a killed `migrate`: exit %s: %r" % (child.returncode, err[-800:]))
                kills, ended = kills + (child.returncode == -9), ended + (child.returncode == 0)
                with searching:
                    copy = copy_of_database(db, os.path.join(scratch, "copy.db"))
                check_database(copy, "after kill %d" % kills)
                state = json.loads(program.must("status", "--db", db, "--json").out)["collections"]
                if len(state) != 1 or state[0]["name"] != "moved":
                    fail("collections: %r" % state)
                if "kept" in state[0]:
                    same_exports("moved", program.export(db, "moved"), after)
                    program.must("migrate", *of[db], "--rollback")
                    same_exports("rolled back", program.export(db, "moved"), before)
                    back += 1
                    # Now and then from the beginning; the vectors are in the cache, but the sides are not.
                    if chance.random() < 0.8:
                        program.must("migrate", *of[db], "--cancel")
            two = [program.start("migrate", *of[db], "--to", target) for _ in range(2)]
            codes = sorted(child.wait(timeout=60) for child in two)
            if codes != [0, 1]:
                fail("two migrations at once end with %r" % codes)
            same_exports("two at once", program.export(db, "moved"), after)
        finally:
            over.set()
            searcher.join()
        if wrong:
            fail(wrong[0])
        if not all(sides.values()):
            fail("searches saw one side only: %r" % list(sides.values()))
        program.must("migrate", *of[db], "--drop-old")
        same_exports("dropped", program.export(db, "moved"), after)
        check_database(db, "at the end")
        print("%d kills, %d runs ended before, %d roll-backs; %d searches saw %s" % (
            kills, ended, back, searches[0], " and ".join("%d of one side" % n for n in sides.values())))


if __name__ == "__main__":
    main()
