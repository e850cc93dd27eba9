// Context: what all of delivery works with. Made by main, outlives every scheduler.
#pragma once

#include <atomic>

#include "server/base/clock.h"
#include "server/delivery/content_store.h"
#include "server/delivery/disposition_log.h"
#include "server/delivery/holds.h"
#include "server/delivery/host_table.h"
#include "server/delivery/local_faults.h"
#include "server/delivery/metrics.h"
#include "server/delivery/open_rows.h"
#include "server/delivery/pair_board.h"
#include "server/hooks/hook_point.h"
#include "server/mail/binding.h"
#include "server/mail/options.h"
#include "server/spool/spool.h"

namespace postern::net {
struct SocketCalls;
}

namespace postern::delivery {

struct Context {
  const base::Clock& clock;
  spool::Spool& spool;
  const mail::OptionsSource& options;
  mail::BindingTable& bindings;
  hooks::HookPoint& hook_point;
  DeliveryMetrics& metrics;
  PairBoard board{};
  std::atomic<bool> strays{false};  // rows may be in the queue of a gateway that is theirs no more
  HostTable hosts{};
  LocalFaults local_faults{};
  OpenRows open_rows{};
  ContentStore contents{spool};
  std::atomic<bool> draining{false};
  HoldTable holds{spool, clock};
  DispositionLog* disposition_log = nullptr;  // null: none
  const net::SocketCalls* socket_calls =
      nullptr;  // of connections to receivers; null: the system's
};

}  // namespace postern::delivery
