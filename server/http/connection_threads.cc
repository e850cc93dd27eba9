#include "server/http/connection_threads.h"

#include <algorithm>
#include <condition_variable>
#include <system_error>
#include <thread>
#include <utility>

#include "server/base/log.h"
#include "server/base/mutex.h"

namespace postern::http {

struct ConnectionThreads::Places {
  base::Mutex mu;
  std::condition_variable freed;
  std::size_t taken ABSL_GUARDED_BY(mu) = 0;

  void AwaitFewerThan(std::size_t count) {
    base::MutexLock lock(mu);
    freed.wait(lock.native(), [&] { return taken < count; });
  }
  void Take() {
    base::MutexLock lock(mu);
    ++taken;
  }
  void Free() {
    base::MutexLock lock(mu);
    --taken;
    freed.notify_all();
  }
};

ConnectionThreads::ConnectionThreads(std::size_t limit)
    : limit_(std::max<std::size_t>(limit, 1)), places_(std::make_shared<Places>()) {}

void ConnectionThreads::enqueue(std::function<void()> connection) {
  places_->AwaitFewerThan(limit_);
  places_->Take();
  const auto task = std::make_shared<std::function<void()>>(std::move(connection));
  try {
    std::thread([places = places_, task] {
      (*task)();
      places->Free();
    }).detach();
  } catch (const std::system_error& error) {
    base::Log().warn("http: no thread for a connection: {}", error.what());
    (*task)();  // on the accepting thread: late, but answered and closed
    places_->Free();
  }
}

void ConnectionThreads::shutdown() { places_->AwaitFewerThan(1); }

}  // namespace postern::http
