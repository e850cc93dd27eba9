// OutcomesStream: one stream of outcomes, from the spool to a consumer, and its acknowledgements.
//
// Outcomes are read in pieces, on a worker of the hub's, when the client has taken the piece
// before: one that does not read costs nothing but the disk. The stream sleeps until there are new
// ones.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postern/v1/delivery.pb.h"
#include "server/bridge/filter.h"
#include "server/rpc/access.h"
#include "server/rpc/calls.h"
#include "server/rpc/context.h"
#include "server/rpc/request.h"

namespace postern::rpc {

// The spool's word that there is something to read. Quiet until it is armed, for one word.
class OutcomesWakeup final : public spool::OutcomeListener, public Wakeup {
 public:
  using Wakeup::Wakeup;
  void Arm() { armed_.store(true); }
  void OnOutcomes() override {
    if (armed_.exchange(false)) Notify();
  }

 private:
  std::atomic<bool> armed_{false};
};

class OutcomesStream;

// What the streams share. Thread: the queue's.
struct OutcomesHub {
  Worker reader;  // its own thread: a backlog must not hold up queries
  std::size_t started = 0;
  std::size_t waiting = 0;  // have not sent Start yet: they take no place from who has
  std::map<std::string, OutcomesStream*> consumers;  // who sends to this name
};

class OutcomesStream {
 public:
  using CallType = StreamCall<grpc::ByteBuffer, v1::OutcomesResponse>;

  // REQUIRES: the call was admitted by `guard`.
  OutcomesStream(CallType& call, ServiceContext& context, OutcomesHub& hub, Stopper& stopper,
                 MethodGuard& guard);
  ~OutcomesStream();

  // From the first frame to the status to finish with.
  Task<absl::Status> Run();
  // After Finish: waits until nothing of the stream is under way.
  auto Joined() { return all_ended_.Wait(); }

 private:
  // RESOURCE_EXHAUSTED: the identity has too many streams, or too many wait to start.
  absl::Status TakePlace();
  Detached ReadFrames();
  absl::Status OnBytes(grpc::ByteBuffer& bytes);
  absl::Status OnFrame(const v1::OutcomesRequest& frame);
  absl::Status OnStart(const v1::OutcomesStart& start);
  absl::Status OnAcknowledge(const v1::OutcomesAcknowledge& acknowledge);
  // Has it noted; the stream acknowledges nothing older any more.
  absl::Status Acknowledged(std::uint64_t upto);
  // Where to begin, by what the client asks and the spool has kept.
  absl::Status SetOut(const v1::OutcomesStart& start);
  // Takes the consumer over from the stream that had it.
  void Enter();
  void Displace();
  // The stream is to end, and a write is under way: if the client does not take it for a while, the
  // call is cancelled. One that does not read must not keep its stream by that; one that does
  // learns the status.
  Detached CutWrite();

  // False: the caller's rights are gone, which is failure_ now. See MethodGuard::Renew.
  bool CheckRights();
  // Is it the caller's to see, and asked for?
  bool Wanted(const spool::OutcomeRecord& record) const;
  // The status to end with; nullopt: go on.
  std::optional<absl::Status> End();
  Task<absl::Status> AwaitStart();
  Task<absl::Status> Send();
  // Reads and writes what is behind position_.
  Task<absl::Status> SendSome(std::uint64_t head);
  Task<bool> SendRecord(const spool::OutcomeRecord& record);
  // Tells that the outcomes from position_ to `next` cannot be sent any more, and goes on there.
  Task<bool> SkipTo(std::uint64_t next);
  Task<bool> SendHeartbeat();
  Task<bool> FlushBatch();
  Task<bool> Write();
  std::string Cursor() const;

  CallType& call_;
  ServiceContext& context_;
  OutcomesHub& hub_;
  Stopper& stopper_;
  MethodGuard& guard_;
  spool::OutcomeSource& source_;
  const std::shared_ptr<OutcomesWakeup> wakeup_;
  Stopper::Listener listener_;
  RequestReader request_reader_;
  std::shared_ptr<void> place_;  // among the identity's streams
  Signal write_ended_;           // for CutWrite
  Signal all_ended_;
  int running_ = 1;  // the reader, and CutWrite
  absl::Status failure_;
  bool started_ = false;
  bool half_closed_ = false;
  bool displaced_ = false;
  bool sending_ = true;
  bool in_write_ = false;
  bool cutting_ = false;
  bool other_spool_ = false;  // the client's cursor is of another one: a gap
  std::string consumer_;      // empty: only reads
  bridge::Matcher matcher_;
  bool final_only_ = false;
  std::uint64_t log_ = 0;
  std::uint64_t position_ = 0;  // the last outcome that was sent or left out
  std::uint64_t acknowledged_ = 0;
  absl::Time acknowledged_at_;
  v1::OutcomesResponse response_;
  std::size_t response_bytes_ = 0;  // about
  absl::Time last_write_;
};

}  // namespace postern::rpc
