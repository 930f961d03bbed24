"""chroma_server.py - Chroma's real server out of its Python package (scripts/requirements/chroma.txt), for tests."""
import os
import subprocess
import sys
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here + "/../caches")
from servers import Server  # noqa: E402

# All of the server is in the Rust library, which needs none of the package's own dependencies.
PROGRAM = "import sys, chromadb_rust_bindings; chromadb_rust_bindings.cli(['chroma'] + sys.argv[1:])"


class Chroma(Server):
    def __init__(self):
        super().__init__()
        found = subprocess.run([here + "/../../scripts/install-python-packages", "chroma"], check=True, stdout=subprocess.PIPE, text=True)
        self.packages = found.stdout.strip()
        self.start()

    def start(self):
        self.launch([sys.executable, "-c", PROGRAM, "run", "--path", self.folder + "/data", "--host", "127.0.0.1", "--port", str(self.port)],
                    env=dict(os.environ, PYTHONPATH=self.packages))

    def answers(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/api/v2/heartbeat" % self.port, timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    def url(self, rest=""):
        return "chroma://127.0.0.1:%d%s" % (self.port, rest)

    def restart(self):
        self.kill()
        self.start()
