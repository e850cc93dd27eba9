// MessageRecord: when is a message finished whose rows belong to several threads?
//
// Thread: any.
#pragma once

#include <atomic>

namespace postern::queue {

// Counts the open rows of a message of several rows.
class MessageRecord {
 public:
  explicit MessageRecord(int open_rows) : open_rows_(open_rows) {}

  // One more row is final and recorded. True for the last one: the message is finished.
  bool Finish() { return open_rows_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::atomic<int> open_rows_;
};

}  // namespace postern::queue
