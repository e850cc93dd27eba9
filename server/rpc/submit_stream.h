// SubmitStream: one stream of submissions. Reading goes on while stores are pending; results are
// written in order, as many as there are in one frame.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "postern/v1/delivery.pb.h"
#include "server/delivery/control.h"
#include "server/rpc/access.h"
#include "server/rpc/calls.h"
#include "server/rpc/context.h"
#include "server/rpc/request.h"
#include "server/rpc/unserved.h"

namespace postern::rpc {

// The submissions of a stream whose results are not written yet, in order. Held by the stream and
// by every `done` that the intake still owes.
class SubmitWindow final : public Wakeup {
 public:
  SubmitWindow(Queue& queue, const Limits& limits, std::shared_ptr<ByteBudget> budget);

  // Thread: the queue's.
  bool Full() const;
  bool Empty() const;
  // Adds a submission of so many bytes at the end; its number.
  std::uint64_t Add(std::int64_t bytes);
  // Moves the results at the front to `out`, up to the first that is missing. Their number.
  int TakeReady(v1::SubmitStreamResponse* out);

  // Thread: any. Once for each number. Wakes the stream when the result at the front is there.
  void Complete(std::uint64_t number, absl::StatusOr<delivery::Receipt> result);

  const std::shared_ptr<ByteBudget>& budget() const { return budget_; }

 private:
  struct Slot {
    std::int64_t bytes = 0;
    std::optional<absl::StatusOr<delivery::Receipt>> result;
  };

  const std::size_t max_messages_;
  const std::int64_t max_bytes_;
  const std::shared_ptr<ByteBudget> budget_;
  mutable base::Mutex mu_;
  std::deque<Slot> slots_ ABSL_GUARDED_BY(mu_);
  std::uint64_t first_ ABSL_GUARDED_BY(mu_) = 0;  // number of the slot at the front
  std::int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;   // of slots without a result
};

class SubmitStream {
 public:
  using CallType = StreamCall<grpc::ByteBuffer, v1::SubmitStreamResponse>;

  // REQUIRES: the call was admitted by `guard`.
  SubmitStream(CallType& call, ServiceContext& context, Stopper& stopper, MethodGuard& guard,
               std::shared_ptr<ByteBudget> budget, const ServedCheck& served);

  // From the first submission to the status to finish with.
  Task<absl::Status> Run();
  // After Finish: waits until nothing of the stream is under way.
  auto Joined() { return reader_ended_.Wait(); }

 private:
  Detached ReadSubmissions();
  // The frame's submissions; not OK: the stream ends, by its rights or by what the client sent.
  absl::Status Take(grpc::ByteBuffer& bytes, v1::SubmitStreamRequest* frame);
  void Submit(v1::SubmitRequest& request);

  CallType& call_;
  ServiceContext& context_;
  Stopper& stopper_;
  MethodGuard& guard_;
  const ServedCheck& served_;
  RequestReader reader_;
  std::shared_ptr<SubmitWindow> window_;
  Stopper::Listener listener_;
  Signal space_;  // a place in the window is free, or the writer is through
  Signal reader_ended_;
  absl::Status failure_;      // its rights are gone, or it sent what is no frame
  bool half_closed_ = false;  // by the client: all it has to say was read
  bool writing_ = true;
};

// Submits `request` to the intake within `budget` and the rights of the caller; `done` as the
// intake calls it.
void SubmitTo(delivery::Intake& intake, MethodGuard& guard, const Call& call,
              const ServedCheck* served, const std::shared_ptr<ByteBudget>& budget,
              v1::SubmitRequest& request, delivery::Intake::Done done);

// What a submission holds of the server's memory until it is stored.
std::int64_t SubmissionBytes(const v1::SubmitRequest& request);

}  // namespace postern::rpc
