// LocalFaults: what of this machine keeps connections from being opened, for all threads.
//
// A fault of ours says nothing of the host: it suspends the binding (no descriptors, or its source
// address is missing) or the address family (no route) for a while. A period is 1 s, then 2 s, 4 s
// and so on while the fault lasts, but at most host_failure_retry; when it is over, one connection
// tries again. Pure but for the lock: takes `now` (steady). Thread: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/mail/reply.h"
#include "server/net/local_fault.h"

namespace postern::delivery {

class LocalFaults {
 public:
  // What a connection is made with.
  struct Side {
    int binding_slot = 0;
    bool v6 = false;
  };
  struct Suspension {
    absl::Time until;                          // no connection before
    std::shared_ptr<const mail::Reply> reply;  // the words of the fault
    bool began = false;  // by this fault: the others of its period are no news
  };

  // A connection has failed by `fault` (not kNone). Begins a period, or joins the one under way.
  Suspension Note(net::LocalFault fault, Side side, std::shared_ptr<const mail::Reply> reply,
                  absl::Duration longest, absl::Time now);

  // What keeps a connection from being tried now, until the latest. `has_route` is asked while the
  // family has none: addresses that have one all the same (a network of our own) are not kept.
  std::optional<Suspension> Find(Side side, absl::FunctionRef<bool()> has_route,
                                 absl::Time now) const;

  // A connection was made: the binding's faults are over. Costs no lock when there are none.
  void NoteConnected(Side side);

 private:
  struct Fault {
    absl::Time until;
    std::shared_ptr<const mail::Reply> reply;
    unsigned periods = 0;  // in a row
  };
  using Key = std::tuple<net::LocalFault, int, bool>;  // with the slot, or -1; IPv6

  static Key KeyOf(net::LocalFault fault, Side side);

  mutable base::Mutex mu_;
  std::map<Key, Fault> faults_ ABSL_GUARDED_BY(mu_);
  std::atomic<std::size_t> size_{0};  // of faults_
};

}  // namespace postern::delivery
