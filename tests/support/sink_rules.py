"""The values of the scripted receiver: what a rule says, what a message is; and a port that no one answers at."""
import dataclasses
import json
import re
import socket
from typing import List, Optional

STAGES = ("connect", "greeting", "ehlo", "helo", "starttls", "tls", "auth", "mail", "rcpt", "data", "content", "body", "rset",
          "noop", "quit", "other")
DEFAULT_CAPABILITIES = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8",
                        "ENHANCEDSTATUSCODES")
MAX_COMMAND_BYTES = 4096  # generous: RFC 5321 4.5.3.1.4 plus parameters


@dataclasses.dataclass
class Rule:
    """When it applies (all that are set must hold) and what happens then."""
    stage: str
    # Conditions.
    connection: Optional[int] = None   # number of the connection in this sink, from 1
    address: Optional[str] = None      # local address that was connected to
    message: Optional[int] = None      # number of the transaction in this sink, from 1
    transaction: Optional[int] = None  # number of the transaction on its connection, from 1
    sender: Optional[str] = None       # regular expression, searched
    recipient: Optional[str] = None    # regular expression, searched; after rcpt: in any recipient
    domain: Optional[str] = None       # of the recipient; after rcpt: of any recipient
    nth: Optional[int] = None          # only the nth time that the other conditions hold
    times: Optional[int] = None        # only the first that many times
    after_bytes: int = 0               # stage content: once that many bytes have come
    # Actions, in this order: deaf, gate, delay, close, reply, close.
    deaf: bool = False                 # read nothing more: what is sent fills the buffers
    gate: Optional[str] = None         # wait until the test releases the gate
    delay: float = 0                   # seconds; for demonstrations, tests use gates
    hang: bool = False                 # never answer; the connection stays open
    drop: bool = False                 # reset the connection (RST)
    close: Optional[str] = None        # "before": instead of the reply, "after": after it
    reply: Optional[str] = None        # lines separated by \n, complete with codes
    slow: float = 0                    # seconds between the bytes of the reply
    hits: int = 0

    def __post_init__(self):
        if self.stage not in STAGES:
            raise ValueError(f"unknown stage {self.stage!r}")
        if self.close not in (None, "before", "after"):
            raise ValueError(f"close must be before or after, not {self.close!r}")

    def fits(self, stage, conn, recipient=None):
        if stage != self.stage:
            return False
        recipients = [recipient] if recipient is not None else conn.recipients
        if not all((self.connection in (None, conn.number),
                    self.address in (None, conn.local_address),
                    self.message in (None, conn.message_number),
                    self.transaction in (None, conn.transactions),
                    self.sender is None or re.search(self.sender, conn.sender or ""),
                    self.recipient is None or any(re.search(self.recipient, r)
                                                  for r in recipients),
                    self.domain is None or any(r.lower().endswith("@" + self.domain.lower())
                                               for r in recipients))):
            return False
        self.hits += 1
        return self.nth in (None, self.hits) and (self.times is None or self.hits <= self.times)


@dataclasses.dataclass
class Message:
    """One transaction that came as far as the final dot."""
    connection: int
    number: int               # of the transaction in this sink
    sender: str
    recipients: List[str]     # that were accepted
    content: bytes            # dots unstuffed, line ends as they came
    mail_parameters: str = ""
    reply: Optional[str] = None   # what the dot was answered with; None: nothing


def load_script(path):
    """A JSON file with "capabilities" and "rules"; no path, no script."""
    if not path:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def wire_violations(raw):
    """What a correct client does not do with content: words for people, for bytes as they came."""
    found = []
    if re.search(rb"\r(?!\n)|(?<!\r)\n", raw):
        found.append("bare CR or LF in the content")
    # After a line that begins with one dot and was not stuffed, RFC 5321 4.5.2 is broken.
    if re.search(rb"(?:^|\n)\.[^.]", raw):
        found.append("a line begins with a dot that is not stuffed")
    return found


def transcripts(connections):
    """All sessions, for people."""
    out = []
    for conn in list(connections):
        out.append(f"--- connection {conn.number} ---")
        out += [f"{at:8.3f} {who} {line}" for at, who, line in list(conn.transcript)]
    return "\n".join(out) or "(the sink saw no connection)"


class FullBacklog:
    """An address that never answers a SYN: its listener's queue is full and nobody accepts.

    Use it as a context manager. Linux drops the SYNs, so that connect() runs into its time limit.
    """

    def __init__(self, address, port):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(0)
        self.address, self.port = self._listener.getsockname()[:2]
        self._fill = []
        for _ in range(16):
            sock = socket.socket()
            sock.settimeout(0.3)
            self._fill.append(sock)
            try:
                sock.connect((self.address, self.port))
            except (socket.timeout, TimeoutError):
                return
        raise RuntimeError("the backlog does not fill")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for sock in self._fill + [self._listener]:
            sock.close()
