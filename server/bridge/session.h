// WatchSession, AttachedSession: what rpc holds of a stream. Their end is the stream's end.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/bridge/bridge.h"
#include "server/bridge/fanout.h"
#include "server/bridge/question_desk.h"

namespace postern::bridge {

class WatchSession final : public Subscription {
 public:
  WatchSession(Fanout& fanout, StreamPtr stream) : fanout_(fanout), stream_(std::move(stream)) {}
  ~WatchSession() override;
  Taken Take(std::size_t max_events, std::size_t max_bytes) override {
    return stream_->Take(max_events, max_bytes);
  }
  std::uint64_t head_sequence() const override { return fanout_.head_sequence(); }

 private:
  Fanout& fanout_;
  const StreamPtr stream_;
};

class AttachedSession final : public DecideSession {
 public:
  AttachedSession(Fanout& fanout, QuestionDesk& desk, StreamPtr stream, Attached attached)
      : fanout_(fanout), desk_(desk), stream_(std::move(stream)), attached_(std::move(attached)) {}
  ~AttachedSession() override;
  Taken Take(std::size_t max_events, std::size_t max_bytes) override {
    return stream_->Take(max_events, max_bytes);
  }
  std::uint64_t head_sequence() const override { return fanout_.head_sequence(); }

  const Attached& attached() const override { return attached_; }
  absl::StatusOr<std::vector<VerdictResult>> Verdicts(std::vector<Verdict> verdicts) override;
  absl::Status Acknowledge(std::uint64_t position) override {
    return stream_->Acknowledge(position);
  }
  void Detach(absl::string_view reason) override;

 private:
  Fanout& fanout_;
  QuestionDesk& desk_;
  const StreamPtr stream_;
  const Attached attached_;
};

}  // namespace postern::bridge
