"""A large message for many domains takes its place in memory while it is sent, and once."""

import unittest

from scenario import Scenario, scope

DOMAINS = 16
LINE = b"x" * 78 + b"\r\n"
LETTER = b"Subject: large\r\n\r\n" + LINE * (4 * 1024 * 1024 // len(LINE))


class LargeContentToManyDomains(Scenario):
    # Long: the first session still waits at MAIL when the last one comes there.
    config = {"options": {"mailfrom_timeout": "1h"}}

    def test_sessions_that_have_not_come_to_the_content_hold_none(self):
        for i in range(DOMAINS):
            self.dns.domain(f"d{i}.test")
        self.sink.rule("mail", gate="go")
        self.suspend("*", reason="first all are taken")
        ident = self.daemon.submit([f"r@d{i}.test" for i in range(DOMAINS)], content=LETTER)
        before = self.daemon.metric("postern_memory_resident_bytes")
        self.control("Resume", scope=scope("*"))
        self.sink.wait(lambda: sum("mail: at gate go" in c.notes()
                                   for c in self.sink.connections) == DOMAINS,
                       30, "all sessions are at MAIL")
        grown = self.daemon.metric("postern_memory_resident_bytes") - before
        self.assertLess(grown, 5 * len(LETTER), "a copy for each session")
        self.sink.gates.release("go")
        self.daemon.wait_dispositions(ident, "DELIVERED", timeout=60)


if __name__ == "__main__":
    unittest.main()
