"""weaviate_server.py - a real Weaviate for tests. It opens ports on every address whatever it is told, so it runs in a network namespace of its own, which
takes root (unshare, nsenter, ip); whoever speaks to it must be in there too: Weaviate.inside(words).

The program is $SX_WEAVIATE, or build/weaviate/weaviate-server, which scripts/install-weaviate builds. Without it, or without root, the test is skipped,
aloud."""
import os
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here + "/../caches")
from servers import Server  # noqa: E402

SKIPPED = 77


def skip(why):
    print("SKIP: " + why)
    sys.exit(SKIPPED)


def program():
    named = os.environ.get("SX_WEAVIATE") or os.path.normpath(here + "/../../build/weaviate/weaviate-server")
    if not os.path.exists(named):
        skip("there is no Weaviate server (scripts/install-weaviate builds one in half an hour; SX_WEAVIATE names another)")
    if os.geteuid() != 0:
        skip("Weaviate runs in a network namespace of its own, which takes root")
    return named


class Weaviate(Server):
    seconds_to_start = 90

    def __init__(self):
        super().__init__()
        self.program = program()
        # Whatever happens to the server, the namespace lives as long as this process. It ends with us: its input is our pipe.
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise SystemExit("no network namespace can be made (that takes root, unshare and ip)")
        self.start()

    def inside(self, words):
        return ["nsenter", "-t", str(self.holder.pid), "-n", *words]

    def start(self):
        ports = {"CLUSTER_GOSSIP_BIND_PORT": 7946, "CLUSTER_DATA_BIND_PORT": 7947, "RAFT_PORT": 8300, "RAFT_INTERNAL_RPC_PORT": 8301,
                 "GRPC_PORT": 50051, "RAFT_BOOTSTRAP_EXPECT": 1}
        environment = dict(os.environ, PERSISTENCE_DATA_PATH=self.folder + "/data", DEFAULT_VECTORIZER_MODULE="none", CLUSTER_HOSTNAME="node1",
                           CLUSTER_ADVERTISE_ADDR="127.0.0.1", CLUSTER_BIND_ADDR="127.0.0.1", DISABLE_TELEMETRY="true", GO_PROFILING_DISABLE="true",
                           AUTHENTICATION_APIKEY_ENABLED="true", AUTHENTICATION_APIKEY_ALLOWED_KEYS="sesame", AUTHENTICATION_APIKEY_USERS="tester",
                           AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED="false", LOG_LEVEL="warning", **{name: str(port) for name, port in ports.items()})
        self.launch(self.inside([self.program, "--host", "127.0.0.1", "--port", str(self.port), "--scheme", "http"]), env=environment)

    def answers(self):
        time.sleep(0.2)
        return subprocess.run(self.inside(["curl", "-sf", "-m", "2", "-o", self.folder + "/ready",
                                           "http://127.0.0.1:%d/v1/.well-known/ready" % self.port])).returncode == 0

    def restart(self):
        self.kill()
        self.start()

    def close(self):
        super().close()
        self.holder.stdin.close()
        self.holder.wait()
