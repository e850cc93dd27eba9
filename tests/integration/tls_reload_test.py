"""New certificates are taken without a restart, however they are put in place."""

import os
import shutil
import ssl
import unittest

from callers import Caller, assert_denied
from certificates import Authority
from scenario import Scenario


class TlsReload(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.ca = Authority(self.directory, "ca")
        self.first, self.second = self.ca.issue("first"), self.ca.issue("second")
        self.client = self.ca.issue("mailer", uri="spiffe://example.org/mailer")

    def start(self, directory):
        files = {key: os.path.join(directory, name) for key, name in (
            ("certificate_file", "tls.crt"), ("key_file", "tls.key"), ("client_ca_file", "ca.crt"))}
        self.make_daemon(server={"grpc_listeners": [
            {"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": files}]}).start()
        self.address = self.daemon.grpc_addresses[1]

    def fill(self, directory, certificate, ca=None):
        os.makedirs(directory, exist_ok=True)
        for source, name in ((certificate.certificate, "tls.crt"), (certificate.key, "tls.key"),
                             ((ca or self.ca).file, "ca.crt")):
            self.put(source, os.path.join(directory, name))

    @staticmethod
    def put(source, target):
        """The file in the place of another, by rename."""
        shutil.copy(source, target + ".new")
        os.rename(target + ".new", target)

    def assert_serves(self, certificate):
        """What a new connection is shown."""
        host, port = self.address.rsplit(":", 1)
        with open(certificate.certificate, encoding="utf-8") as file:
            self.assertEqual(ssl.get_server_certificate((host, int(port))), file.read())

    def call(self, ca=None, client=None):
        return Caller(self, self.address, ca=ca or self.ca,
                      certificate=client or self.client).submit()

    def test_a_directory_that_is_swapped_by_its_link(self):
        # As Kubernetes mounts secrets: files are links into ..data, which is a link that is renamed.
        mount = os.path.join(self.directory, "mount")
        self.fill(os.path.join(mount, "..1"), self.first)
        self.fill(os.path.join(mount, "..2"), self.second)
        os.symlink("..1", os.path.join(mount, "..data"))
        for name in ("tls.crt", "tls.key", "ca.crt"):
            os.symlink(f"..data/{name}", os.path.join(mount, name))
        self.start(mount)
        self.assert_serves(self.first)
        old = Caller(self, self.address, ca=self.ca, certificate=self.client)
        old.submit()
        os.symlink("..2", os.path.join(mount, "..data.new"))
        os.rename(os.path.join(mount, "..data.new"), os.path.join(mount, "..data"))
        self.assert_serves(self.second)
        self.call()
        old.submit()  # its connection goes on

    def test_files_that_are_renamed_one_after_the_other(self):
        files = os.path.join(self.directory, "files")
        self.fill(files, self.first)
        self.start(files)
        self.put(self.second.certificate, os.path.join(files, "tls.crt"))
        self.assert_serves(self.first)  # they do not fit together yet: what was in force stays
        self.call()
        self.put(self.second.key, os.path.join(files, "tls.key"))
        self.assert_serves(self.second)
        self.call()
        os.remove(os.path.join(files, "tls.key"))
        self.assert_serves(self.second)
        self.daemon.wait_log(r"tls: key_file: .*No such file.*what was in force stays")
        self.call()

    def test_another_ca_for_clients(self):
        files = os.path.join(self.directory, "files")
        self.fill(files, self.first)
        self.start(files)
        self.call()
        other = Authority(self.directory, "other")
        stranger = other.issue("mailer", uri="spiffe://example.org/mailer")
        assert_denied(self, "UNAVAILABLE", "", lambda: self.call(client=stranger))
        self.put(other.file, os.path.join(files, "ca.crt"))
        self.call(client=stranger)
        assert_denied(self, "UNAVAILABLE", "", self.call)


if __name__ == "__main__":
    unittest.main()
