#include "client/bulk.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iostream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/terminal.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

constexpr std::size_t kFrameBytes = 256 << 10;
constexpr int kMaxPerFrame = 64;
// Refusals that are shown; the rest is only counted.
constexpr int kShownRefusals = 10;

using SubmitStream = grpc::ClientReaderWriter<v1::SubmitStreamRequest, v1::SubmitStreamResponse>;

// What was taken from the source and has no result yet, in order. Results come in that order.
class Taken {
 public:
  struct Item {
    std::uint64_t line;
    double share;
    std::string fault;
  };

  void Add(Item item) {
    const std::lock_guard<std::mutex> lock(mu_);
    items_.push_back(std::move(item));
  }
  // The first one; nullopt: there is none, or with `faulty` none with a fault in front.
  std::optional<Item> Take(bool faulty) {
    const std::lock_guard<std::mutex> lock(mu_);
    if (items_.empty() || (faulty && items_.front().fault.empty())) return std::nullopt;
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

 private:
  std::mutex mu_;
  std::deque<Item> items_;
};

// Counts results as they come, prints them with --json, keeps the user informed without.
class Tally {
 public:
  explicit Tally(bool json) : json_(json), status_(!json) {}

  void Add(const Taken::Item& item, const v1::SubmitResult& result) {
    if (json_) std::cout << ToJson(result) << "\n";
    last_line_ = item.line;
    if (result.has_receipt()) {
      ++accepted_;
    } else if (++refused_ <= kShownRefusals) {
      const std::string where = item.line > 0 ? absl::StrCat("line ", item.line, ": ") : "";
      status_.Clear();
      Report(grpc::Status(static_cast<grpc::StatusCode>(result.error().code()),
                          where + result.error().message()));
    }
    if (status_.Due()) status_.Show(Progress(item.share));
  }
  void AddFault(const Taken::Item& item) {
    v1::SubmitResult result;
    result.mutable_error()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
    result.mutable_error()->set_message(item.fault);
    Add(item, result);
  }
  void AddUnanswered() { ++unanswered_; }

  // kOk when everything was accepted.
  int Finish() {
    status_.Clear();
    std::cout << std::flush;
    if (!json_) {
      std::string text = absl::StrFormat("%d accepted, %d refused in %.2fs (%.0f messages/s)",
                                         accepted_, refused_, Seconds(), Rate());
      if (unanswered_ > 0) {
        absl::StrAppend(&text, "; ", unanswered_, " without an answer");
        if (last_line_ > 0) absl::StrAppend(&text, ", behind line ", last_line_);
      }
      std::cout << text << std::endl;
    }
    return refused_ == 0 && unanswered_ == 0 ? kOk : kFailed;
  }

 private:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  }
  double Rate() const { return static_cast<double>(accepted_) / std::max(Seconds(), 1e-6); }
  std::string Progress(double share) const {
    std::string text =
        absl::StrFormat("%d accepted, %d refused, %.0f messages/s", accepted_, refused_, Rate());
    if (share >= 0) absl::StrAppend(&text, absl::StrFormat(", %.0f %%", share * 100));
    return text;
  }

  const bool json_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  StatusLine status_;
  std::uint64_t accepted_ = 0, refused_ = 0, unanswered_ = 0;
  std::uint64_t last_line_ = 0;
};

// Everything of the source to the stream, until either ends.
void Write(SubmitStream& stream, BulkSource& source, Taken& taken) {
  v1::SubmitStreamRequest frame;
  std::size_t bytes = 0;
  const auto send = [&] {
    if (frame.submissions().empty()) return true;
    const bool open = stream.Write(frame);
    frame.clear_submissions();
    bytes = 0;
    return open;
  };
  BulkItem item;
  while (true) {
    // What waits must not wait for who types.
    if (!source.Ready() && !send()) return;
    if (!source.Next(item)) break;
    const bool faulty = !item.fault.empty();
    taken.Add({item.line, item.share, std::move(item.fault)});
    if (faulty) continue;
    const std::size_t size = item.request.ByteSizeLong();
    if (FrameIsFull(frame.submissions_size(), bytes, size) && !send()) return;
    *frame.add_submissions() = std::move(item.request);
    bytes += size;
  }
  if (send()) stream.WritesDone();
}

}  // namespace

Copies::Copies(v1::SubmitRequest request, std::uint64_t count)
    : request_(std::move(request)), count_(count) {}

bool Copies::Next(BulkItem& item) {
  if (done_ == count_) return false;
  ++done_;
  item.request = request_;
  item.share = static_cast<double>(done_) / static_cast<double>(count_);
  return true;
}

bool FrameIsFull(int submissions, std::size_t bytes, std::size_t next) {
  return submissions > 0 && (submissions >= kMaxPerFrame || bytes + next > kFrameBytes);
}

int SubmitBulk(const Globals& globals, BulkSource& source) {
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  grpc::ClientContext context;
  SignalWatch stop([&] {
    source.Stop();
    context.TryCancel();
  });
  const auto stream = stub->SubmitStream(&context);
  Taken taken;
  std::thread writer([&] { Write(*stream, source, taken); });
  Tally tally(globals.json);
  v1::SubmitStreamResponse answer;
  while (stream->Read(&answer)) {
    for (const auto& result : answer.results()) {
      while (const auto faulty = taken.Take(true)) tally.AddFault(*faulty);
      // The server answers what it was sent, so there is one.
      if (const auto item = taken.Take(false)) tally.Add(*item, result);
    }
    std::cout << std::flush;  // whoever reads our lines may be waiting for them
  }
  source.Stop();
  writer.join();
  while (const auto item = taken.Take(false)) {
    if (item->fault.empty()) {
      tally.AddUnanswered();
    } else {
      tally.AddFault(*item);
    }
  }
  const grpc::Status status = stream->Finish();
  const int all = tally.Finish();
  if (!source.error().empty()) {
    std::cerr << "postern: " << source.error() << std::endl;
    return kFailed;
  }
  return std::max(all, Report(status));
}

}  // namespace postern::client
