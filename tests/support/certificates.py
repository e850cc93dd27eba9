"""Real certificates, made with openssl: a CA, and what it signs.

    ca = Authority(directory, "ca")
    server = ca.issue("server")                                   # localhost, 127.0.0.1
    mailer = ca.issue("mailer", uri="spiffe://example.org/mailer")
    grpc.ssl_channel_credentials(ca.pem(), *mailer.pems())
    context = server_context(ca.issue_for("mx.a.test", hosts=["mx.a.test"]))    # for ssl
    context = server_context(server, client_ca=ca)            # asks for a client's certificate
"""

import os
import ssl
import subprocess


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Certificate:
    """Two PEM files."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    def pems(self):
        """(key, certificate), as grpc.ssl_channel_credentials() takes them."""
        return read(self.key), read(self.certificate)


class Authority:
    def __init__(self, directory, name="ca"):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory)
        self.file = os.path.join(self.directory, "ca.pem")
        self._key = os.path.join(self.directory, "ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self._key, "-out", self.file, "-subj", f"/CN={name}", "-days", "2")

    @property
    def certificate(self):
        """The path of its own."""
        return self.file

    def pem(self):
        return read(self.file)

    def issue_for(self, name, hosts=(), addresses=()):
        """A certificate with exactly these host names and addresses, maybe none."""
        return self.issue(name, names=[f"DNS:{host}" for host in hosts] +
                          [f"IP:{address}" for address in addresses])

    def issue(self, name, uri=None, names=("DNS:localhost", "IP:127.0.0.1"), expired=False):
        """A certificate with these names and this URI."""
        base = os.path.join(self.directory, name)
        alternatives = list(names) + ([f"URI:{uri}"] if uri else [])
        extensions = f"{base}.ext"
        with open(extensions, "w", encoding="utf-8") as file:
            file.write("basicConstraints=critical,CA:FALSE\n")
            if alternatives:
                file.write("subjectAltName=" + ",".join(alternatives) + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/CN={name}")
        if expired:
            self._sign_in_the_past(base, extensions)
        else:
            openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.file, "-CAkey", self._key,
                    "-CAcreateserial", "-out", f"{base}.pem", "-days", "2",
                    "-extfile", extensions)
        return Certificate(f"{base}.pem", f"{base}.key")

    def _sign_in_the_past(self, base, extensions):
        # Only `openssl ca` takes dates, and it wants books.
        configuration = f"{base}.cnf"
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}.index\nserial={base}.serial\n"
                       f"new_certs_dir={self.directory}\ndefault_md=sha256\npolicy=p\n"
                       "[p]\ncommonName=supplied\n")
        for path, text in ((f"{base}.index", ""), (f"{base}.serial", "1000\n")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        openssl("ca", "-batch", "-config", configuration, "-in", f"{base}.csr", "-cert", self.file,
                "-keyfile", self._key, "-out", f"{base}.pem", "-notext",
                "-startdate", "20200101000000Z", "-enddate", "20200102000000Z",
                "-extfile", extensions)


def server_context(certificate, client_ca=None, client_required=True):
    """The ssl.SSLContext of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if client_ca:
        context.load_verify_locations(client_ca.certificate)
        context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    return context
