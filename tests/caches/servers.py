"""servers.py - real Redis and PostgreSQL servers for tests: on loopback, on a free port, in a scratch folder, ended by their own process ids."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    seconds_to_start = 120  # a busy machine; one that cannot start says so at once

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="shared-cache-")
        self.port = free_port()
        self.process = None

    def launch(self, words, **how):
        self.log = open(self.folder + "/log", "ab")
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, **how)
        end = time.monotonic() + self.seconds_to_start
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                said = open(self.folder + "/log").read()[-2000:]
                self.close()
                raise SystemExit("%s does not start: %s" % (words[0], said))
            time.sleep(0.05)

    def freeze(self):
        for process in self.processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self):
        for process in self.processes():
            os.kill(process, signal.SIGCONT)

    def processes(self):
        """The server and its children, which one line of /proc each names."""
        found = [self.process.pid]
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                fields = open(path).read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.append(int(path.split("/")[2]))
        return found

    def kill(self):
        if self.process and self.process.poll() is None:
            for process in self.processes():
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.process:
            self.process.wait()
            self.log.close()
            self.process = None

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    password = "correct horse/battery@staple"

    def __init__(self):
        super().__init__()
        self.start()

    def start(self):
        program = shutil.which("redis-server")
        if not program:
            raise SystemExit("redis-server is not there (scripts/install-packages test)")
        self.launch([program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "no",
                     "--requirepass", self.password])

    def url(self, database=0, password="correct%20horse%2Fbattery%40staple"):
        return "redis://%s127.0.0.1:%d/%d" % (":" + password + "@" if password else "", self.port, database)

    def answers(self):
        try:
            return self.command("PING") == b"PONG"
        except (OSError, EOFError, RuntimeError):
            return False

    def command(self, *words, database=0):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            stream = connection.makefile("rwb")

            def send(words):
                words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
                stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
                stream.flush()
                return self.reply(stream)

            send(["AUTH", self.password])
            send(["SELECT", database])
            return send(words)

    def reply(self, stream):
        line = stream.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply(stream) for _ in range(int(rest))]
        return rest

    def counted(self):
        """keyspace_hits and keyspace_misses."""
        lines = dict(line.split(":") for line in self.command("INFO", "stats").decode().split("\r\n") if ":" in line)
        return int(lines["keyspace_hits"]), int(lines["keyspace_misses"])


class Postgres(Server):
    """Runs as nobody when the test is root's: it refuses to run as root."""
    password = "open sesame"

    def __init__(self, programs=None):
        """programs: the folder of the server's programs, when not the system's."""
        super().__init__()
        folders = [programs] if programs else sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.bin = folders[-1] if folders else os.path.dirname(shutil.which("initdb") or "")
        if not os.path.exists(self.bin + "/initdb"):
            raise SystemExit("PostgreSQL's server is not there (scripts/install-packages test)")
        self.how = {"cwd": self.folder}
        open(self.folder + "/password", "w").write(self.password + "\n")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.how.update(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
            for path in (self.folder, self.folder + "/password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        subprocess.run([self.bin + "/initdb", "-D", self.folder + "/data", "-U", "keeper", "-A", "scram-sha-256", "--pwfile",
                        self.folder + "/password", "-E", "UTF8", "--no-locale", "--no-sync"], check=True, stdout=subprocess.DEVNULL,
                       **self.how)
        self.start()

    def start(self):
        self.launch([self.bin + "/postgres", "-D", self.folder + "/data", "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
                     "-c", "fsync=off"], **self.how)

    def kill(self):
        super().kill()
        if os.path.exists(self.folder + "/data/postmaster.pid"):
            os.unlink(self.folder + "/data/postmaster.pid")

    def url(self, password="open%20sesame", user="keeper"):
        return "postgresql://%s:%s@127.0.0.1:%d/postgres" % (user, password, self.port)

    def answers(self):
        return subprocess.run(self.psql("SELECT 1"), capture_output=True, env=self.environment()).returncode == 0

    def environment(self):
        return {"PATH": os.environ["PATH"], "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"}

    def psql(self, text):
        return [self.bin + "/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "keeper", "-d", "postgres", "-c", text]

    def ask(self, text):
        return subprocess.run(self.psql(text), check=True, capture_output=True, text=True, env=self.environment()).stdout.strip()
