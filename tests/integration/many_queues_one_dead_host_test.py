"""Many queues for one host that refuses connections: they wait for it, and nothing spins."""

import unittest

from scenario import Scenario, eventually

QUEUES = 300


class ManyQueuesOneDeadHost(Scenario):
    def test_each_learns_of_the_back_off_and_waits(self):
        self.config = {"routes": [{"domain": "alive.test", "hosts": ["127.0.0.1"]},
                                  {"domain": "*", "hosts": ["127.0.0.9"]}],
                       "options": {"host_failure_retry": "1h", "retry_schedule": ["1h"]}}
        for i in range(QUEUES):
            self.daemon.submit([f"r@d{i}.test"])
        eventually(lambda: sum(bool(q.reason) for q in self.control("ListQueues",
                                                                     page_size=1000).queues)
                   == QUEUES, 30, "a reason for every queue")
        # An attempt begins with the look for hosts. A few wait for the first ones to fail and then
        # look again; once all know, there is none, though the schedulers have time for others.
        looks = "postern_mx_lookup_seconds_count"

        def settled():
            before = self.daemon.metric(looks)
            self.deliver("r@alive.test")
            return self.daemon.metric(looks) <= before + 1
        eventually(settled, 30, "a delivery that finds no queue looking for the dead host")
        self.assertLessEqual(self.daemon.metric(looks), 3 * QUEUES)


if __name__ == "__main__":
    unittest.main()
