"""Clients of streams: Watch collects events, Policy decides (or misbehaves), Outcomes keeps books.

Both run in the background and are read through waits, so that tests are plain code.
"""

import queue
import threading

import grpc

from postern.v1 import delivery_pb2, hooks_pb2, types_pb2
from running import Watched, scaled

ALL_KINDS = tuple(v for v in hooks_pb2.EventKind.values() if v)


def kind_of(event):
    """"delivery_attempt" and so on."""
    return event.WhichOneof("what")


class Stream(Watched):
    """What both have in common: a call that is read by a thread, frames that are kept."""

    def __init__(self):
        super().__init__()
        self.frames = []
        self.events = []       # of all Events frames, in order
        self.gaps = []
        self.ended = False
        self.code = None       # grpc.StatusCode once it has ended
        self.details = ""
        self.fault = None      # what this side could not make sense of
        self._position = None  # of the next event, while no Gap came

    def _read(self, call):
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for frame in self._call:
                with self.changed:
                    self.frames.append(frame)
                    self._take(frame)
                    self.changed.notify_all()
                self.handle(frame)
        except grpc.RpcError:
            pass
        except Exception as error:  # a frame that must not be: waits fail and show it
            self._call.cancel()
            self.fault = error
        with self.changed:
            self.code, self.details = self._call.code(), self._call.details()
            self.ended = True
            self.changed.notify_all()

    def _take(self, frame):
        what = frame.WhichOneof("frame")
        if what == "gap":
            self.gaps.append(frame.gap)
            self._position = None
        elif what == "events":
            batch = frame.events
            if self._position is not None and batch.first_position != self._position:
                raise AssertionError(f"hole in the positions: {batch.first_position} instead of "
                                     f"{self._position}, without a Gap")
            self._position = batch.first_position + len(batch.events)
            self.events += batch.events

    def handle(self, frame):
        """Called with every frame, outside of the lock."""

    def of_kind(self, kind):
        return [e for e in list(self.events) if kind_of(e) == kind]

    def wait_events(self, kind, count=1, predicate=None, timeout=10):
        """Blocks until `count` events of the kind (that satisfy predicate) came; returns them."""
        def found():
            hits = [e for e in self.of_kind(kind) if predicate is None or predicate(e)]
            return hits if len(hits) >= count else None

        return self.wait(found, timeout, f"{count} x {kind}")

    def wait_event(self, kind, predicate=None, timeout=10):
        """The first such event."""
        return self.wait_events(kind, 1, predicate, timeout)[0]

    def wait_frame(self, what, count=1, timeout=10):
        """Blocks until `count` frames of the kind came; returns their bodies."""
        def found():
            hits = [getattr(f, what) for f in self.frames if f.WhichOneof("frame") == what]
            return hits if len(hits) >= count else None

        return self.wait(found, timeout, f"{count} frames {what}")

    def wait_ended(self, timeout=10):
        """Blocks until the server or the network has ended the stream; returns the status code."""
        self.wait(lambda: self.ended, timeout, "end of the stream")
        return self.code

    def cancel(self):
        """Vanishes, without a farewell."""
        if getattr(self, "_call", None):
            self._call.cancel()

    def describe(self):
        return "frames:\n" + "\n".join(str(f) for f in list(self.frames)) + \
            f"\nended: {self.ended} {self.code} {self.details} {self.fault or ''}"


class Watch(Stream):
    """Hooks.Watch. start() returns when the server has the subscription in force."""

    def __init__(self, hooks, kinds=ALL_KINDS, domains=(), bindings=(), after=None):
        super().__init__()
        self._hooks = hooks
        # The snapshot is the proof that the subscription stands.
        self._request = hooks_pb2.WatchRequest(
            kinds=kinds, filter=types_pb2.Filter(domains=domains, bindings=bindings), after=after,
            snapshot=True)

    def start(self):
        self._read(self._hooks.Watch(self._request))
        self.wait(lambda: self.ended or any(f.WhichOneof("frame") == "snapshot"
                                            for f in self.frames), 10, "snapshot of Watch")
        if self.ended:
            raise AssertionError(f"Watch ended at once: {self.code} {self.details}")
        return self


class Policy(Stream):
    """Hooks.Decide, with a callback per question.

    on_question(question) returns "KEEP", "SHUTDOWN", "ABSTAIN" or None (no answer); without a
    callback nothing is answered and the test does it with answer(). on_event(event) is called for
    each event. fields are those of Attach (ask, timeout, default_verdict, priority ...).
    """

    def __init__(self, hooks, provider, on_question=None, on_event=None, kinds=(), domains=(),
                 attach=True, acknowledge=True, **fields):
        super().__init__()
        self._hooks = hooks
        self._requests = queue.Queue()
        self._on_question = on_question
        self._on_event = on_event
        self._acknowledge = acknowledge
        self._next_verdict = 0
        self._attach = attach and hooks_pb2.Attach(
            provider=provider, kinds=kinds, filter=types_pb2.Filter(domains=domains), **fields)
        self.questions = []
        self.cancelled = []
        self.results = []

    def start(self):
        """Opens the stream and, unless attach=False, waits until it is attached."""
        self._read(self._hooks.Decide(iter(self._requests.get, None)))
        if self._attach:
            self.send(attach=self._attach)
            self.wait(lambda: self.ended or any(f.WhichOneof("frame") == "attached"
                                                for f in self.frames), 10, "Attached")
            if self.ended:
                raise AssertionError(f"not attached: {self.code} {self.details}")
        return self

    def _take(self, frame):
        super()._take(frame)
        what = frame.WhichOneof("frame")
        if what == "questions":
            self.questions += frame.questions.questions
        elif what == "question_cancelled":
            self.cancelled.append(frame.question_cancelled)
        elif what == "verdict_results":
            self.results += frame.verdict_results.results

    def handle(self, frame):
        what = frame.WhichOneof("frame")
        if what == "questions" and self._on_question:
            for question in frame.questions.questions:
                decision = self._on_question(question)
                if decision:
                    self.answer(question, decision)
        elif what == "events":
            if self._on_event:
                for event in frame.events.events:
                    self._on_event(event)
            if self._acknowledge:
                self.send(acknowledge=hooks_pb2.Acknowledge(
                    position=frame.events.first_position + len(frame.events.events) - 1))

    # Talking.
    def send(self, **frame):
        """Sends one DecideRequest: send(attach=...), send(verdicts=...)."""
        self._requests.put(hooks_pb2.DecideRequest(**frame))

    def send_verdict(self, decision, verdict_id=None, **fields):
        """Sends one verdict; returns its id."""
        with self.changed:
            self._next_verdict += 1
            verdict_id = verdict_id or self._next_verdict
        verdict = hooks_pb2.Verdict(
            verdict_id=verdict_id, decision=hooks_pb2.Decision.Value("DECISION_" + decision),
            **fields)
        self.send(verdicts=hooks_pb2.Verdicts(verdicts=[verdict]))
        return verdict_id

    def answer(self, question, decision, reason="", verdict_id=None):
        """Answers one question; returns the verdict's id."""
        return self.send_verdict(decision, verdict_id, reason=reason,
                                 question=hooks_pb2.QuestionTarget(
                                     connection_id=question.connection_id,
                                     number=question.number))

    def say(self, connection_id, decision, reason="", **when):
        """A standing verdict for a connection; when: after_deliveries or after_age."""
        return self.send_verdict(decision, reason=reason, connection=hooks_pb2.ConnectionTarget(
            connection_id=connection_id, **when))

    def half_close(self):
        """Ends the client's side in good order."""
        self._requests.put(None)

    def cancel(self):
        super().cancel()
        self._requests.put(None)

    # Listening.
    def wait_questions(self, count, timeout=10):
        """Blocks until `count` questions came; returns all."""
        return self.wait(lambda: len(self.questions) >= count and list(self.questions), timeout,
                         f"{count} questions")

    def wait_question(self, number=1, timeout=10):
        """The question that came as number `number`, from 1."""
        return self.wait_questions(number, timeout)[number - 1]

    def wait_result(self, verdict_id, count=1, timeout=10):
        """Status of the verdict as a word ("APPLIED"); with count, of its count-th result."""
        def found():
            hits = [r for r in self.results if r.verdict_id == verdict_id]
            return len(hits) >= count and hits[count - 1]

        result = self.wait(found, timeout, f"result of verdict {verdict_id}")
        return hooks_pb2.VerdictStatus.Name(result.status)[len("VERDICT_STATUS_"):]


class Outcomes(Stream):
    """Delivery.Outcomes. What came is in .outcomes, in order; ack() acknowledges it."""

    def __init__(self, delivery, consumer="", acknowledge=False, **fields):
        super().__init__()
        self._delivery = delivery
        self._requests = queue.Queue()
        self._acknowledge = acknowledge
        self._start = delivery_pb2.OutcomesStart(consumer=consumer, **fields)
        self.outcomes = []
        self.cursor = None     # behind what came
        self.lost = []         # OutcomesGap frames

    def start(self):
        self._read(self._delivery.Outcomes(iter(self._requests.get, None)))
        self._requests.put(delivery_pb2.OutcomesRequest(start=self._start))
        return self

    def _take(self, frame):
        what = frame.WhichOneof("frame")
        if what == "outcomes":
            self.outcomes += frame.outcomes.outcomes
            self.cursor = frame.outcomes.cursor
        elif what == "gap":
            self.lost.append(frame.gap)

    def handle(self, frame):
        if self._acknowledge and frame.WhichOneof("frame") == "outcomes":
            self.ack(frame.outcomes.cursor)

    def ack(self, cursor=None):
        """Acknowledges up to the cursor; without one, all that came."""
        self._requests.put(delivery_pb2.OutcomesRequest(
            acknowledge=delivery_pb2.OutcomesAcknowledge(cursor=cursor or self.cursor)))

    def wait_outcomes(self, count, timeout=10):
        """Blocks until `count` outcomes came; returns all."""
        return self.wait(lambda: len(self.outcomes) >= count and list(self.outcomes), timeout,
                         f"{count} outcomes")

    def close(self):
        """Ends the client's side in good order and waits for the server's; returns the code."""
        self._requests.put(None)
        return self.wait_ended()

    def cancel(self):
        super().cancel()
        self._requests.put(None)
