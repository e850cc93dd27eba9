"""An idle Watch and an idle Decide stream get a Heartbeat with the head of the event sequence."""

import unittest

from scenario import Scenario


class HeartbeatOnIdleStreams(Scenario):
    def test_comes_on_both_and_names_the_last_event(self):
        self.dns.domain("a.test")
        policy = self.daemon.policy(on_question=lambda question: "KEEP")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        watch.wait_event("connection_closed")
        for stream in (watch, policy):
            # One may have been sent while the mail was on its way.
            def idle(stream=stream):
                beats = [f.heartbeat for f in stream.frames if f.WhichOneof("frame") == "heartbeat"]
                last = watch.events[-1]
                return next((b for b in beats if b.head_sequence == last.sequence), None)

            beat = stream.wait(idle, 20, "a Heartbeat with the head of the sequence")
            self.assertEqual(beat.epoch, watch.wait_frame("events")[0].epoch)
            self.assertFalse(stream.ended)


if __name__ == "__main__":
    unittest.main()
