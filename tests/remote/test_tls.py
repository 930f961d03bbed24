"""Services over TLS: a certificate that nobody vouches for is refused, one of an authority that SSL_CERT_FILE names is taken, but not for another
name nor when it has expired; and requests go through the proxy that the environment names.

    test_tls.py SEXTANT

The certificates are made by the program openssl.
"""
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

from faulty_service import Service
from test_faults import KEY, check


def openssl(folder, *words):
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True)
    check(done.returncode == 0, "openssl %s: %s" % (words[0], done.stderr.decode()))


def make_certificates(folder):
    """An authority, and certificates by it for 127.0.0.1, for another address, and for a time that is over."""
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "30", "-subj", "/CN=an authority of the test")
    for name, address, days in (("right", "127.0.0.1", "30"), ("other", "127.0.0.2", "30"), ("over", "127.0.0.1", "-1")):
        openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
                "-subj", "/CN=a server of the test")
        with open(os.path.join(folder, name + ".ext"), "w") as file:
            file.write("subjectAltName=IP:%s\n" % address)
        openssl(folder, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile",
                name + ".ext", "-out", name + ".pem")


def serve(folder, name):
    service = Service(faulty=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key"))
    service.server.socket = context.wrap_socket(service.server.socket, server_side=True, do_handshake_on_connect=False)
    service.url = service.url.replace("http:", "https:")
    return service


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes CONNECT on and counts."""
    asked = []

    def log_message(self, *arguments):
        pass

    def do_CONNECT(self):
        Proxy.asked.append((self.path, str(self.headers)))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()

            def copy(source, target):
                try:
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            back = threading.Thread(target=copy, args=(there, self.connection), daemon=True)
            back.start()
            copy(self.connection, there)
            back.join(5)
        self.close_connection = True


class Bench:
    def __init__(self, program, folder):
        self.program, self.folder, self.outputs = program, folder, b""

    def embed(self, url, code=0, **more):
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": self.folder, "OPENAI_API_KEY": KEY, **more}
        done = subprocess.run([self.program, "embed", "-m", "openai@%s#some-model" % url, "--no-cache", "a text about rivers", "--json"], env=environment,
                              cwd=self.folder, capture_output=True, timeout=60)
        self.outputs += done.stdout + done.stderr
        check(done.returncode == code, "exit code %d instead of %d: %s" % (done.returncode, code, done.stderr[-400:].decode()))
        return json.loads(done.stdout), done.stderr.decode()


def certificates(bench):
    authority = os.path.join(bench.folder, "ca.pem")
    right = serve(bench.folder, "right")
    _, errors = bench.embed(right.url, code=1, no_proxy="*")
    check("certificate" in errors.lower(), "a certificate that nobody vouches for: %s" % errors)
    bench.embed(right.url, no_proxy="*", SSL_CERT_FILE=authority)
    check(right.requests >= 1 and right.strangers == 0, "the service was not asked")
    asked = right.requests
    found, errors = bench.embed(right.url.replace("127.0.0.1", "localhost"), code=1, no_proxy="*", SSL_CERT_FILE=authority)
    check("localhost" in errors, "another name than the certificate's: %s" % errors)
    _, errors = bench.embed(right.url, code=1, no_proxy="*", SSL_CERT_FILE=os.path.join(bench.folder, "missing.pem"))
    check("missing.pem" in errors and "SSL_CERT_FILE" in errors, "a file that is not there: %s" % errors)
    with open(os.path.join(bench.folder, ".env"), "w") as file:
        file.write("SSL_CERT_FILE=%s\n" % authority)
    _, errors = bench.embed(right.url, code=2, no_proxy="*")
    check(".env" in errors, "an authority out of a .env that merely lies there: %s" % errors)
    os.unlink(os.path.join(bench.folder, ".env"))
    check(right.requests == asked, "something was sent to a server that was not trusted")
    right.stop()
    for name in ("other", "over"):
        service = serve(bench.folder, name)
        _, errors = bench.embed(service.url, code=1, no_proxy="*", SSL_CERT_FILE=authority)
        check("certificate" in errors.lower(), "%s: %s" % (name, errors))
        check(service.requests == 0, "%s: the text was sent" % name)
        service.stop()
    print("certificates: refused of an unknown authority, for another name, for another address, when over; taken with SSL_CERT_FILE")


def proxies(bench):
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    address = "http://127.0.0.1:%d" % proxy.server_port
    service = serve(bench.folder, "right")
    settings = {"SSL_CERT_FILE": os.path.join(bench.folder, "ca.pem"), "https_proxy": address}
    bench.embed(service.url, **settings)
    check(Proxy.asked and service.requests >= 1, "the proxy was not asked: %s" % Proxy.asked)
    check(all(path == service.url.split("/")[2] and KEY not in headers for path, headers in Proxy.asked), "the proxy saw too much: %s" % Proxy.asked)
    count = len(Proxy.asked)
    bench.embed(service.url, no_proxy="127.0.0.1", **settings)
    check(len(Proxy.asked) == count, "no_proxy was passed over")
    service.stop()
    proxy.shutdown()
    proxy.server_close()
    print("proxies: https_proxy tunnels, and does not see the key; no_proxy goes past it")


def main():
    if not shutil.which("openssl"):
        print("SKIP: the program openssl is not there (scripts/install-packages test)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(os.path.abspath(sys.argv[1]), folder)
        make_certificates(folder)
        certificates(bench)
        proxies(bench)
        check(KEY.encode() not in bench.outputs, "the key is in the program's output")


if __name__ == "__main__":
    main()
