#!/usr/bin/env python3
"""kill_loop.py --sextant PATH [--rounds N] [--model REF] [--seed S]: `sextant index` killed by SIGKILL at N random moments.

One database sees the final documents once, undisturbed. On another the indexer is killed again and again while documents are edited,
renamed, copied and deleted; then the same final documents are there. Both must hold the same content, nothing may have been embedded
twice, and a further run embeds nothing. After every kill a copy of the files is looked into (the original is left to the program,
since looking would recover its log), which also tells in which phase the kill fell. Moments are chosen so that all phases are met: at
once, evenly over the time a run takes, when the log grows (a commit is under way), when a file of vectors appears (publishing)."""
import json
import os
import random
import time

from crash_tools import (COMPLAINTS, Done, Program, Scratch, Tree, check_database, copy_of_database, fail, given_arguments, rows, same_exports)


def size_of(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def files_in(folder):
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


class Killer:
    """Waits for a moment, then kills. False when the program ended before."""

    def __init__(self, db, seed, whole_run):
        self.db, self.random, self.whole_run = db, random.Random(seed), whole_run

    def wait(self, child, kind):
        start = time.monotonic()
        if kind == "start":
            pause = self.random.uniform(0, 0.02)
        elif kind == "any":
            pause = self.random.uniform(0, self.whole_run)
        else:
            log, folder = self.db + "-wal", self.db + "-vectors"
            before = files_in(folder), size_of(log), self.random.randint(1, 12)
            changes = 0
            while child.poll() is None and time.monotonic() - start < 20:
                if kind == "publish" and files_in(folder) - before[0]:
                    break
                if kind == "commit" and size_of(log) != before[1]:
                    changes, before = changes + 1, (before[0], size_of(log), before[2])
                    if changes >= before[2]:
                        break
            start, pause = time.monotonic(), self.random.choice([0, self.random.uniform(0, 0.004)])
        while child.poll() is None and time.monotonic() - start < pause:
            time.sleep(0.0002)
        child.kill()
        out, err = child.communicate(timeout=20)
        done = Done(child.returncode, out, err)
        if done.code not in (0, -9):
            fail("a killed `index`: %s" % done)
        if COMPLAINTS.search(out + err):
            fail("a killed `index` complains: %s" % done)
        return done.code == -9


def phase_of(before, after):
    """Where the kill fell, from what is stored before and after it."""
    if not after["tables"]:
        return "creation"
    if after["vectors"] > before.get("vectors", 0):
        return "embedding" if after["pending"] else "storing or publishing"
    if after["segments"] != before.get("segments", 0):
        return "publishing"
    if after["pending"]:
        return "scan" if not before.get("pending") else "first batches"
    return "start or end"


def kill_creation(program, killer, tree, model, db):
    """The first run on a database of its own, killed while it is made; then one document must go through."""
    arguments = ["index", os.path.join(tree.folder, tree.names()[0]), "--db", db, "-m", model]
    killed = killer.wait(program.start(*arguments), "start")
    if os.path.exists(db):
        check_database(copy_of_database(db, db + "-copy"), "killed while made")
    program.must(*arguments)
    check_database(db, "made after a kill")
    return killed


def main():
    given = given_arguments(__doc__, "fake:kills?max_length=64&slow_ms=4", 80, rounds=50)
    model = given.model
    with Scratch() as scratch:
        program = Program(given.sextant, scratch)
        tree = Tree(os.path.join(scratch, "docs"), given.seed)
        tree.add(given.files)
        final = tree.snapshot()
        calm, db = os.path.join(scratch, "calm.db"), os.path.join(scratch, "killed.db")

        def arguments(database):
            return ["index", tree.folder, "--db", database, "-c", "killed", "-m", model, "--threads", "2", "--json"]

        began = time.monotonic()
        program.must(*arguments(calm))
        killer = Killer(db, given.seed + 1, time.monotonic() - began)
        want = program.export(calm, "killed")

        kills, ended, phases, before = 0, 0, {}, {}
        chance = random.Random(given.seed + 2)
        tree.change(given.files // 2)
        while kills < given.rounds:
            if ended > 5 * given.rounds + 20:
                fail("only %d kills, %d runs ended before" % (kills, ended))
            if kills < given.rounds // 6:
                killed = kill_creation(program, killer, tree, model, os.path.join(scratch, "new-%d.db" % (kills + ended)))
                kills, ended = kills + killed, ended + (not killed)
                phases["creation"] = phases.get("creation", 0) + killed
                continue
            kind = chance.choice(["start", "any", "any", "commit", "commit", "publish"])
            if kind in ("commit", "publish") or chance.random() < 0.5:
                tree.change(chance.randint(1, 12))
            if chance.random() < 0.05:
                tree.restore(final)
            killed = killer.wait(program.start(*arguments(db)), kind)
            kills, ended = kills + killed, ended + (not killed)
            if not os.path.exists(db):
                after, phase = {"tables": False}, "start"
            else:
                after = check_database(copy_of_database(db, os.path.join(scratch, "copy.db")), "after kill %d (%s)" % (kills, kind))
                phase = phase_of(before, after)
            if killed:
                phases[phase] = phases.get(phase, 0) + 1
            before = after

        # The last one while it publishes, when all documents are through: the next run has only that to do.
        tree.restore(final)
        killer.wait(program.start(*arguments(db)), "publish")
        program.must(*arguments(db), within=120)
        same_exports("after %d kills" % kills, program.export(db, "killed"), want)
        again = json.loads(program.must(*arguments(db)).out.splitlines()[-1])
        if again["chunks"]["embedded"] or again["documents"]["unchanged"] != len(final):
            fail("a further run: %r" % again)
        forced = json.loads(program.must(*arguments(db), "--force").out.splitlines()[-1])
        if forced["chunks"]["embedded"]:
            fail("a further run with --force embeds: %r" % forced["chunks"])
        check_database(db, "at the end")
        left = rows(db, "SELECT (SELECT count(*) FROM document WHERE state <> 1), (SELECT count(*) FROM claim), (SELECT count(*) FROM "
                        "chunk WHERE NOT EXISTS (SELECT 1 FROM segment WHERE chunk.id BETWEEN first_chunk AND last_chunk))")[0]
        if left != (0, 0, 0):
            fail("at the end %d documents are not done, %d claims remain, %d chunks are not published" % left)
        # Nor may a file of a killed worker be left.
        listed = {row[0] for row in rows(db, "SELECT file FROM segment")}
        if files_in(db + "-vectors") != listed:
            fail("files of vectors %r, but %r are in use" % (sorted(files_in(db + "-vectors")), sorted(listed)))
        for words in ("silver thunder", "日本 orchard", "über"):
            hits = json.loads(program.must("search", words, "--db", db, "-c", "killed", "--json", "-n", "5").out)["hits"]
            program.must(*arguments(calm))
            other = json.loads(program.must("search", words, "--db", calm, "-c", "killed", "--json", "-n", "5").out)["hits"]
            # Equal chunks of two documents are equally near, and which of them comes first depends on the order of their commits.
            if [(h["similarity"], h["text"]) for h in hits] != [(h["similarity"], h["text"]) for h in other]:
                fail("search for %r finds %r, undisturbed %r" % (words, hits, other))
        print("%d kills (%s); %d runs ended before; %d chunks equal; nothing embedded twice"
              % (kills, ", ".join("%d %s" % (n, p) for p, n in sorted(phases.items())), ended, len(want.splitlines())))


if __name__ == "__main__":
    main()
