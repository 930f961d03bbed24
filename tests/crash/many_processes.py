#!/usr/bin/env python3
"""many_processes.py --sextant PATH [--seconds S] [--model REF] [--seed N]: everything at once on one database.

Two indexers of one collection, one of another collection on the same documents, loops of search, status, export and backup, each killed
by SIGKILL at random and started again, while the documents change. No run may end otherwise than well or killed, and none may say
that the database is locked or busy. Each backup is opened: it must be whole, its collections export to complete documents with the
right vectors, and are found by search. At the end both collections hold what an undisturbed run makes of the same documents."""
import json
import os
import random
import threading
import time

from crash_tools import COMPLAINTS, Done, Program, Scratch, Tree, check_database, fail, given_arguments, rows, same_exports

COLLECTIONS = ("one", "two")


class Crowd:
    def __init__(self, program, db, tree, model, seed):
        self.program, self.db, self.tree, self.model, self.seed = program, db, tree, model, seed
        self.over, self.wrong, self.counts, self.lock = threading.Event(), [], {}, threading.Lock()
        self.backups = []

    def arguments(self, verb, number):
        db = ["--db", self.db]
        if verb == "index":
            return ["index", self.tree.folder, *db, "-c", COLLECTIONS[number // 2], "-m", self.model, "--threads", "1", "--json"]
        if verb == "search":
            return ["search", "silver thunder number %d" % self.seed, *db, "-c", "one", "-n", "5", "--json"]
        if verb == "export":
            return ["collections", "export", "two", *db, "--format", "jsonl", "-o", "-"]
        if verb == "backup":
            return ["backup", os.path.join(self.program.scratch, "backup-%d.db" % number), *db]
        return ["status", *db, "--json"]

    def note(self, name, code):
        with self.lock:
            done = self.counts.setdefault(name, [0, 0])
            done[code != 0] += 1

    def check_output(self, verb, out):
        """What a run that ended well says must be whole."""
        if verb == "search":
            hits = json.loads(out)["hits"]
            if len(hits) != 5 or any(a["score"] < b["score"] for a, b in zip(hits, hits[1:])):
                return "search finds %d of 5, or out of order" % len(hits)
        elif verb == "status":
            names = {c["name"] for c in json.loads(out)["collections"]}
            if names != set(COLLECTIONS):
                return "status names %r" % names
        elif verb == "export":
            return incomplete(out)
        elif verb == "index":
            json.loads(out.splitlines()[-1])
        return None

    def loop(self, name, verb, number, chance_of_kill, longest):
        chance = random.Random("%d %s" % (self.seed, name))
        while not self.over.is_set() and not self.wrong:
            if verb == "backup":
                number += 1
            arguments = self.arguments(verb, number)
            child = self.program.start(*arguments)
            killer = None
            if chance.random() < chance_of_kill:
                killer = threading.Timer(chance.uniform(0, longest), child.kill)
                killer.start()
            try:
                out, err = child.communicate(timeout=60)
            except Exception:  # a run that hangs
                child.kill()
                child.communicate()
                self.wrong.append("%s: did not end within 60 s" % " ".join(arguments))
                return
            finally:
                if killer:
                    killer.cancel()
            done = Done(child.returncode, out, err)
            problem = None
            if done.code != 0 and not (killer and done.code == -9):
                problem = "unexpected end"
            elif COMPLAINTS.search(out + err) or b"busy" in err.lower():
                problem = "complaint"
            elif done.code == 0:
                problem = self.check_output(verb, out)
            if problem:
                self.wrong.append("%s: %s: %s" % (" ".join(arguments), problem, done))
                return
            self.note(name, done.code)
            if verb == "backup":
                target = arguments[1]
                if os.path.exists(target):
                    self.backups.append(target)
                elif done.code == 0:
                    self.wrong.append("%s: ended well without a file" % " ".join(arguments))
                time.sleep(chance.uniform(0, 0.2))

    def run(self, seconds):
        # Kills of an indexer fall within the first moments more often than not, so that all phases are met.
        loops = [("indexer 1 of one", "index", 0, 0.7, 0.15), ("indexer 2 of one", "index", 1, 0.7, 0.15),
                 ("indexer of two", "index", 2, 0.7, 0.15), ("search", "search", 0, 0.3, 0.05), ("status", "status", 0, 0.3, 0.03),
                 ("export", "export", 0, 0.3, 0.1), ("backup", "backup", 0, 0.4, 0.06)]
        threads = [threading.Thread(target=self.loop, args=arguments) for arguments in loops]
        for thread in threads:
            thread.start()
        chance, until = random.Random(self.seed), time.monotonic() + seconds
        while time.monotonic() < until and not self.wrong:
            self.tree.change(chance.randint(1, 10))
            time.sleep(chance.uniform(0.05, 0.6))
        self.over.set()
        for thread in threads:
            thread.join()
        if self.wrong:
            fail("\n".join(self.wrong[:3]))


def incomplete(export):
    """Whether a document's chunks are not 0, 1, 2 ... or without vectors."""
    last = ("", "", -1)
    for line in export.splitlines():
        chunk = json.loads(line)
        document, index = (chunk["root"], chunk["document"]), chunk["index"]
        if index != (last[2] + 1 if document == last[:2] else 0):
            return "%s: chunk %d after %r" % (chunk["document"], index, last)
        if not chunk.get("embedding"):
            return "%s: chunk %d has no vector" % (chunk["document"], index)
        last = (*document, index)
    return None


def vectors_of(export):
    chunks = [json.loads(line) for line in export.splitlines()]
    return {chunk["hash"]: chunk["embedding"] for chunk in chunks}


def main():
    given = given_arguments(__doc__, "fake:crowd?max_length=64&slow_ms=4", 50, seconds=20.0)
    model = given.model
    with Scratch() as scratch:
        program = Program(given.sextant, scratch)
        tree = Tree(os.path.join(scratch, "docs"), given.seed)
        tree.add(given.files)
        db, calm = os.path.join(scratch, "crowded.db"), os.path.join(scratch, "calm.db")
        crowd = Crowd(program, db, tree, model, given.seed)
        for number in (0, 2):
            program.must(*crowd.arguments("index", number))
        crowd.run(given.seconds)

        for number in (0, 2):
            program.must(*crowd.arguments("index", number), within=120)
        check_database(db, "at the end")
        again = json.loads(program.must(*crowd.arguments("index", 0)).out.splitlines()[-1])
        if again["chunks"]["embedded"] or again["documents"]["added"] or again["documents"]["changed"]:
            fail("a further run: %r" % again)
        exports = {}
        for collection in COLLECTIONS:
            program.must("index", tree.folder, "--db", calm, "-c", collection, "-m", model, within=120)
            exports[collection] = program.export(db, collection)
            same_exports("collection %s" % collection, exports[collection], program.export(calm, collection))

        true_vectors = vectors_of(exports["one"])
        compared = 0
        for number, backup in enumerate(crowd.backups):
            check_database(backup, "backup %d" % number)
            if rows(backup, "PRAGMA application_id")[0][0] != 0x53784462:
                fail("backup %d: has another application id" % number)
            if number % max(1, len(crowd.backups) // 12):  # a dozen of them are looked into
                continue
            for collection in COLLECTIONS:
                export = program.export(backup, collection)
                problem = incomplete(export)
                if problem:
                    fail("backup %d: %s: %s" % (number, collection, problem))
                for hash, vector in vectors_of(export).items():
                    compared += hash in true_vectors
                    if true_vectors.get(hash, vector) != vector:
                        fail("backup %d: %s: the vector of %s is another" % (number, collection, hash))
                chunk = json.loads(export.splitlines()[0])
                found = json.loads(program.must("search", chunk["text"], "--db", backup, "-c", collection, "--json").out)["hits"]
                if len(found) != 5:
                    fail("backup %d: search finds %d" % (number, len(found)))
        if not crowd.backups or not compared:
            fail("no backup was made, or none had a vector to compare")
        print("; ".join("%s: %d done, %d killed" % (name, *counts) for name, counts in sorted(crowd.counts.items())))
        print("%d backups whole, %d vectors in them compared, %d chunks equal" % (len(crowd.backups), compared, len(true_vectors)))


if __name__ == "__main__":
    main()
