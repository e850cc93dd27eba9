// Many submissions over one stream: where they come from, and what became of them.
#pragma once

#include <cstdint>
#include <string>

#include "client/command.h"
#include "postern/v1/delivery.pb.h"

namespace postern::client {

// One of many submissions, in their order.
struct BulkItem {
  v1::SubmitRequest request;
  std::string fault;  // not empty: what is wrong with it; it is not sent, and counts as refused
  std::uint64_t line = 0;  // where it stands; 0: nowhere
  double share = -1;       // how much of everything ends with it, 0 to 1; < 0: not known
};

// Used by one thread, but for Stop().
class BulkSource {
 public:
  virtual ~BulkSource() = default;
  // The next one, in full; waits for it if need be. False: there are no more, or Stop() was called.
  virtual bool Next(BulkItem& item) = 0;
  // Whether Next() answers without waiting for input.
  virtual bool Ready() { return true; }
  // From any thread: Next() answers false soon, also if it waits.
  virtual void Stop() = 0;
  // Why it ended early; empty: it did not.
  virtual std::string error() const { return ""; }
};

// The same submission, so many times.
class Copies final : public BulkSource {
 public:
  Copies(v1::SubmitRequest request, std::uint64_t count);
  bool Next(BulkItem& item) override;
  void Stop() override {}  // nothing to wait for: the stream's end ends it

 private:
  const v1::SubmitRequest request_;
  const std::uint64_t count_;
  std::uint64_t done_ = 0;
};

// Whether a frame of SubmitStream with so many submissions, and bytes, goes out before one of
// `next` bytes is added: frames are at most 64 submissions or 256 KiB, or one submission.
bool FrameIsFull(int submissions, std::size_t bytes, std::size_t next);

// Submits everything over one stream. Shows how far it is, each refusal (the first ten), and in the
// end a summary; with --json one SubmitResult a line, in the order of the source. kOk if everything
// was accepted. Ctrl-C ends it.
int SubmitBulk(const Globals& globals, BulkSource& source);

}  // namespace postern::client
