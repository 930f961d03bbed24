"""stand_in_server.py - starts a stand-in (stand_in.py), kills and starts it again with its data, and runs the contract on it."""
import os
import subprocess
import sys
import urllib.error
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, here + "/../caches"]
from contract import run_contract  # noqa: E402
from servers import Server  # noqa: E402


class StandIn(Server):
    def __init__(self, program, packages=None, *options):
        super().__init__()
        self.environment = dict(os.environ)
        if packages:
            found = subprocess.run([here + "/../../scripts/install-python-packages", packages], check=True, stdout=subprocess.PIPE, text=True)
            self.environment["PYTHONPATH"] = found.stdout.strip()
        self.words = [sys.executable, "-B", here + "/" + program, str(self.port), "--log", self.folder + "/requests", "--journal", self.folder + "/journal",
                      *options]
        self.start()

    def start(self):
        self.launch(self.words, env=self.environment)

    def restart(self):
        self.kill()
        self.start()

    def answers(self):
        try:
            urllib.request.urlopen("http://127.0.0.1:%d/" % self.port, timeout=2)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def requests(self):
        return open(self.folder + "/requests")


def contract_passes(contract, scheme, program, *more, packages=None, host="127.0.0.1", rest="", check=None):
    """All cases with restarts, and those that write again on a stand-in that cuts every seventh answer. check(server): after the first."""
    passed = True
    for options, cases in (((), [()]), (("--cut", "7"), [("--only", "collections"), ("--only", "records")])):
        server = StandIn(program, packages, *options)
        try:
            for case in cases:
                url = "%s://%s:%d%s" % (scheme, host, server.port, rest)
                passed = passed and run_contract(contract, url, server.restart, "--key", "sesame", *case, *more)
            if check and not options:
                passed = check(server) and passed
        finally:
            server.close()
    return passed
