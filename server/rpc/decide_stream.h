// DecideStream: one conversation of Hooks.Decide, as hooks.proto numbers it.
//
// The reader takes the client's frames as they come; the writer is the only one that writes. What
// the client does wrong ends its own stream, never anybody else's.
#pragma once

#include <memory>
#include <string>

#include "postern/v1/hooks.pb.h"
#include "server/bridge/bridge.h"
#include "server/rpc/access.h"
#include "server/rpc/calls.h"
#include "server/rpc/context.h"
#include "server/rpc/frame_pump.h"
#include "server/rpc/unserved.h"

namespace postern::rpc {

// Raw, so that a frame's size is seen before it is parsed and events are encoded once for all.
using DecideCall = StreamCall<grpc::ByteBuffer, grpc::ByteBuffer>;

class DecideStream {
 public:
  struct Checks {
    ServedCheck attach{v1::DecideRequest::descriptor()};
    ServedCheck verdict{v1::Verdict::descriptor()};
  };

  // What this release does not know, which is counted and ignored.
  struct Unknown {
    base::Counter& frames;
    base::Counter& fields;
  };

  // REQUIRES: the call was admitted by `guard`.
  DecideStream(DecideCall& call, ServiceContext& context, Stopper& stopper, MethodGuard& guard,
               const Checks& checks, const Unknown& unknown);

  // From the first frame to the status to finish with.
  Task<absl::Status> Run();
  // After Finish: waits until nothing of the stream is under way.
  auto Joined() { return reader_ended_.Wait(); }

 private:
  Detached ReadFrames();
  // By the rights now in force; see MethodGuard::Renew. Detaches when they do not suffice.
  absl::Status CheckRights();
  void OnRightsReplaced();
  absl::Status OnBuffer(grpc::ByteBuffer& buffer);
  absl::Status OnFrame(v1::DecideRequest& frame);
  absl::Status OnAttach(const v1::DecideRequest& frame);
  absl::Status OnVerdicts(v1::Verdicts& verdicts);

  Task<absl::Status> AwaitAttach();
  Task<absl::Status> Converse();

  DecideCall& call_;
  ServiceContext& context_;
  Stopper& stopper_;
  MethodGuard& guard_;
  const Checks& checks_;
  const Unknown& unknown_;
  const std::shared_ptr<SubscriberWakeup> wakeup_;
  Stopper::Listener listener_;
  FramePump<DecideCall> pump_;
  std::shared_ptr<void> place_;  // among the identity's streams, from Attach on, as the next
  std::string provider_;
  std::unique_ptr<bridge::DecideSession> session_;
  absl::Status failure_;   // what the client did wrong, or may not do any more
  bool detached_ = false;  // Detach, or the client's half-close
  bool writing_ = true;
  Signal writer_ended_;
  Signal reader_ended_;
};

}  // namespace postern::rpc
