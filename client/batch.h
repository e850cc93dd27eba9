// `postern submit --batch`: submissions from lines of JSON.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "client/bulk.h"
#include "postern/v1/delivery.pb.h"

namespace postern::client {

// One line, postern.v1.SubmitRequest as protobuf-JSON, over `defaults`: what it does not say is as
// there. Returns what is wrong with it; empty: nothing, and *request is set.
std::string ParseBatchLine(const std::string& line, const v1::SubmitRequest& defaults,
                           v1::SubmitRequest* request);

// The lines of a file, or of a pipe as they come. Empty ones are left out.
class Batch final : public BulkSource {
 public:
  // A descriptor, which stays the caller's; whether its reading fails is told by error().
  Batch(int descriptor, v1::SubmitRequest defaults);

  bool Next(BulkItem& item) override;
  bool Ready() override;
  void Stop() override { stopped_ = true; }
  std::string error() const override { return error_; }

 private:
  // The next line without its end, *too_long if it had to be cut; false: there is none.
  bool NextLine(std::string* line, bool* too_long);
  // Waits for more input; false: the end, an error, or Stop().
  bool Fill();

  const int descriptor_;
  const v1::SubmitRequest defaults_;
  double size_ = 0;  // of the file; 0: not known
  std::atomic<bool> stopped_ = false;
  std::string buffer_;      // what was read
  std::size_t begin_ = 0;   // of it, what was taken
  double taken_bytes_ = 0;  // of the file
  std::uint64_t line_ = 0;
  std::string error_;
};

}  // namespace postern::client
