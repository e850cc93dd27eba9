// ConnectionThreads: cpp-httplib's task queue as one thread for each connection, up to a limit. Its
// own pool has 8 threads: so many slow clients would block the probes.
#pragma once

#include <httplib.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace postern::http {

class ConnectionThreads final : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(std::size_t limit);

  // Runs `connection` on a thread of its own; waits for a place first. Called by one thread.
  void enqueue(std::function<void()> connection) override;

  // Returns when no connection runs any more.
  void shutdown() override;

 private:
  struct Places;
  const std::size_t limit_;
  const std::shared_ptr<Places> places_;  // shared with the threads, which are detached
};

}  // namespace postern::http
