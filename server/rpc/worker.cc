#include "server/rpc/worker.h"

namespace postern::rpc {

Worker::Worker() : thread_([this] { Run(); }) {}

Worker::~Worker() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool Worker::Post(std::function<void()> job) {
  {
    base::MutexLock lock(mu_);
    if (jobs_.size() >= kMaxWaiting) return false;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Worker::Run() {
  for (;;) {
    std::function<void()> job;
    {
      base::MutexLock lock(mu_);
      while (jobs_.empty() && !stopping_) changed_.wait(lock.native());
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace postern::rpc
