"""contract.py - runs store_contract on a server that the test started, and restarts the server when the program asks for it."""
import os
import subprocess
import sys
import tempfile
import time


def run_contract(program, url, restart, *more, limit=300, inside=list):
    """inside(words): the words that run these where the server can be reached. restart(): ends the server as a crash does and starts it again; returns when it answers. Returns whether all cases passed."""
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        wanted, done = folder + "/wanted", folder + "/done"
        command = "touch %s; while [ ! -e %s ]; do [ -e %s ] || exit 1; sleep 0.02; done; rm %s" % (wanted, done, folder, done)
        process = subprocess.Popen(inside([program, url, "--restart", command, *more]))
        end = time.monotonic() + limit
        try:
            while process.poll() is None:
                if os.path.exists(wanted):
                    os.unlink(wanted)
                    restart()
                    open(done, "w").close()
                if time.monotonic() > end:
                    print("FAILED: no end within %d s" % limit)
                    break
                time.sleep(0.02)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            open(done, "w").close()
            time.sleep(0.05)  # so that the waiting command sees it and ends
        sys.stdout.flush()
        return process.returncode == 0
