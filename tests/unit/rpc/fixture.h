// What the tests of rpc share: a server on a free port of loopback with the real bridge behind it,
// stand-ins for delivery, and a session as the bridge sees it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "postern/v1/control.grpc.pb.h"
#include "postern/v1/delivery.grpc.pb.h"
#include "postern/v1/hooks.grpc.pb.h"
#include "server/bridge/bridge.h"
#include "server/rpc/convert_hooks.h"
#include "server/rpc/server.h"
#include "tests/unit/rpc/test_clock.h"

namespace postern::rpc {

// Keeps what is submitted until the test settles it, or takes it at once.
class FakeIntake final : public delivery::Intake {
 public:
  struct Pending {
    mail::Submission submission;
    Done done;
  };

  void Submit(mail::Submission submission, Done done) override {
    absl::Status refusal;
    bool hold = false;
    {
      base::MutexLock lock(mu_);
      ++submitted_;
      refusal = refusal_;
      hold = hold_;
      if (refusal.ok() && hold) {
        pending_.push_back({std::move(submission), std::move(done)});
        most_pending_ = std::max(most_pending_, pending_.size());
        changed_.notify_all();
        return;
      }
    }
    if (!refusal.ok()) return done(refusal);
    done(ReceiptFor(submission));
  }

  void Hold(bool hold) {
    base::MutexLock lock(mu_);
    hold_ = hold;
  }
  void Refuse(absl::Status status) {
    base::MutexLock lock(mu_);
    refusal_ = std::move(status);
  }
  void AwaitPending(std::size_t n) {
    base::MutexLock lock(mu_);
    while (pending_.size() < n) changed_.wait(lock.native());
  }
  Pending Take(std::size_t index) {
    base::MutexLock lock(mu_);
    Pending out = std::move(pending_[index]);
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(index));
    return out;
  }
  std::size_t most_pending() {
    base::MutexLock lock(mu_);
    return most_pending_;
  }
  std::size_t submitted() {
    base::MutexLock lock(mu_);
    return submitted_;
  }

  static delivery::Receipt ReceiptFor(const mail::Submission& submission) {
    delivery::Receipt receipt;
    receipt.message_id = base::NewId(absl::Now());
    // The sender comes back in the receipt, so that a test can tell which one it is.
    receipt.rows.push_back({{submission.sender, "default"}, 1});
    return receipt;
  }

 private:
  base::Mutex mu_;
  std::condition_variable changed_;
  std::deque<Pending> pending_ ABSL_GUARDED_BY(mu_);
  std::size_t most_pending_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t submitted_ ABSL_GUARDED_BY(mu_) = 0;
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status refusal_ ABSL_GUARDED_BY(mu_);
};

class FakeControl final : public delivery::Control {
 public:
  std::vector<delivery::QueueInfo> ListQueues(const std::string&, const std::string&) override {
    return queues;
  }
  std::vector<delivery::ConnectionEntry> ListConnections() override { return connections; }
  void BeginDrain(absl::Duration budget) override {
    base::MutexLock lock(mu_);
    budget_ = budget;
  }
  delivery::DrainProgress drain_progress() const override {
    base::MutexLock lock(mu_);
    delivery::DrainProgress progress;
    progress.open_sessions = sessions_;
    progress.done = sessions_ == 0;
    if (sessions_ > 0 && budget_) --sessions_;
    return progress;
  }
  std::optional<absl::Duration> budget() const {
    base::MutexLock lock(mu_);
    return budget_;
  }

  std::vector<delivery::QueueInfo> queues;
  std::vector<delivery::ConnectionEntry> connections;

 private:
  mutable base::Mutex mu_;
  std::optional<absl::Duration> budget_ ABSL_GUARDED_BY(mu_);
  mutable std::uint64_t sessions_ ABSL_GUARDED_BY(mu_) = 2;
};

// Remembers what it was asked for last; answers `status`, or `count`.
class FakeOperations final : public delivery::Operations {
 public:
  absl::StatusOr<std::uint64_t> Suspend(mail::Hold hold) override {
    base::MutexLock lock(mu_);
    hold_ = std::move(hold);
    return Answer();
  }
  absl::StatusOr<Resumed> Resume(const mail::Scope& scope) override {
    base::MutexLock lock(mu_);
    scope_ = scope;
    if (!status.ok()) return status;
    return Resumed{count, holds};
  }
  std::vector<mail::Hold> Holds() override { return holds; }
  absl::StatusOr<std::uint64_t> Flush(const mail::Scope& scope,
                                      const base::Id& message_id) override {
    base::MutexLock lock(mu_);
    scope_ = scope;
    id_ = message_id;
    return Answer();
  }
  absl::StatusOr<std::uint64_t> Fail(const mail::Scope& scope, mail::Reply reply,
                                     bool dry_run) override {
    base::MutexLock lock(mu_);
    scope_ = scope;
    reply_ = std::move(reply);
    flag_ = dry_run;
    return Answer();
  }
  absl::StatusOr<std::uint64_t> Reroute(const mail::Scope& scope,
                                        const std::string& to_binding) override {
    if (on_call) on_call("Reroute");
    base::MutexLock lock(mu_);
    scope_ = scope;
    reason_ = to_binding;
    return Answer();
  }
  absl::Status ShutdownConnection(const base::Id& connection, const std::string&,
                                  const std::string& reason, bool now) override {
    base::MutexLock lock(mu_);
    id_ = connection;
    reason_ = reason;
    flag_ = now;
    return status;
  }
  absl::StatusOr<delivery::MessageView> Cancel(const base::Id& message_id,
                                               const std::vector<std::string>& recipients,
                                               const std::string& reason) override {
    if (on_call) on_call("Cancel");
    base::MutexLock lock(mu_);
    id_ = message_id;
    recipients_ = recipients;
    reason_ = reason;
    if (!status.ok()) return status;
    return delivery::MessageView{};
  }
  absl::StatusOr<delivery::MessageView> Resolve(const base::Id& message_id,
                                                const std::string& domain,
                                                delivery::Resolution resolution) override {
    base::MutexLock lock(mu_);
    id_ = message_id;
    reason_ = domain;
    resolution_ = resolution;
    if (!status.ok()) return status;
    return delivery::MessageView{};
  }

  // What it is to answer; set before the call.
  absl::Status status;
  std::uint64_t count = 3;
  std::vector<mail::Hold> holds;
  std::function<void(const char* call)> on_call;  // Reroute and Cancel

  // What it was asked; read after the call.
  // What the worker thread was told last.
  template <class T>
  T Seen(T FakeOperations::*member) {
    base::MutexLock lock(mu_);
    return this->*member;
  }

  mail::Hold hold_;
  mail::Scope scope_;
  mail::Reply reply_;
  base::Id id_;
  std::string reason_;
  std::vector<std::string> recipients_;
  delivery::Resolution resolution_ = delivery::Resolution::kRetry;
  bool flag_ = false;

 private:
  absl::StatusOr<std::uint64_t> Answer() const {
    if (!status.ok()) return status;
    return count;
  }
  base::Mutex mu_;
};

class FakeMessages final : public delivery::MessageSource {
 public:
  absl::StatusOr<delivery::MessageView> Get(const base::Id& id, History) override {
    for (const delivery::MessageView& message : messages) {
      if (message.rows.front().message_id == id) return message;
    }
    return absl::NotFoundError(absl::StrCat("message_id: no message ", id.ToString()));
  }
  absl::StatusOr<Page> List(const Query& query) override {
    if (on_list) on_list();
    Page page;
    for (const delivery::MessageView& message : messages) {
      if (!(query.after < message.rows.front().message_id)) continue;
      if (page.messages.size() == static_cast<std::size_t>(query.page_size)) {
        page.next = page.messages.back().rows.front().message_id;
        break;
      }
      page.messages.push_back(message);
    }
    return page;
  }
  std::vector<delivery::MessageView> messages;
  std::function<void()> on_list;
};

// Outcomes that the test records, one for each recipient of a row.
class FakeOutcomes final : public spool::OutcomeSource {
 public:
  void Record(mail::Row row) {
    std::vector<std::shared_ptr<spool::OutcomeListener>> told;
    {
      base::MutexLock lock(mu_);
      spool::OutcomeRecord record;
      record.sequence = range_.head + 1;
      record.time = absl::Now();
      for (std::uint32_t i = 0; i < row.recipients.size(); ++i) record.news.push_back(i);
      range_.head += record.news.size();
      record.row = std::move(row);
      records_.push_back(std::move(record));
      for (auto& listener : listeners_) told.push_back(listener.lock());
    }
    for (auto& listener : told) {
      if (listener != nullptr) listener->OnOutcomes();
    }
  }
  // As the retention does.
  void DropBelow(std::uint64_t oldest) {
    base::MutexLock lock(mu_);
    range_.oldest = oldest;
  }
  // The same, between a look at the range and the next read.
  void DropAtRead(std::uint64_t oldest) {
    base::MutexLock lock(mu_);
    drop_at_read_ = oldest;
  }
  // The record cannot be read any more.
  void Damage(std::uint64_t sequence) {
    base::MutexLock lock(mu_);
    std::erase_if(records_, [&](const auto& record) { return record.sequence == sequence; });
  }
  void FailReads(absl::Status status) {
    base::MutexLock lock(mu_);
    failure_ = std::move(status);
  }
  std::size_t reads() const {
    base::MutexLock lock(mu_);
    return reads_;
  }
  // Calls of SetConsumerCursor.
  std::size_t asks() const {
    base::MutexLock lock(mu_);
    return asks_;
  }

  Range OutcomeRange() const override {
    base::MutexLock lock(mu_);
    return range_;
  }
  absl::StatusOr<std::vector<spool::OutcomeRecord>> ReadOutcomes(std::uint64_t after,
                                                                 std::size_t max_outcomes,
                                                                 std::size_t) const override {
    base::MutexLock lock(mu_);
    ++reads_;
    if (!failure_.ok()) return std::exchange(failure_, absl::OkStatus());
    range_.oldest = std::max(range_.oldest, std::exchange(drop_at_read_, 0));
    std::vector<spool::OutcomeRecord> records;
    std::size_t outcomes = 0;
    for (const spool::OutcomeRecord& record : records_) {
      if (record.sequence + record.news.size() <= std::max(after + 1, range_.oldest)) continue;
      if (outcomes >= max_outcomes) break;
      outcomes += record.news.size();
      records.push_back(record);
    }
    return records;
  }
  std::optional<std::uint64_t> ConsumerCursor(const std::string& consumer) const override {
    base::MutexLock lock(mu_);
    const auto found = cursors_.find(consumer);
    if (found == cursors_.end()) return std::nullopt;
    return found->second;
  }
  absl::Status SetConsumerCursor(const std::string& consumer, std::uint64_t upto) override {
    base::MutexLock lock(mu_);
    if (consumer == "one too many") return absl::ResourceExhaustedError("consumer: too many");
    ++asks_;
    cursors_[consumer] = std::max(cursors_[consumer], upto);
    return absl::OkStatus();
  }
  void AddOutcomeListener(std::weak_ptr<spool::OutcomeListener> listener) override {
    base::MutexLock lock(mu_);
    listeners_.push_back(std::move(listener));
  }

 private:
  mutable base::Mutex mu_;
  mutable Range range_ ABSL_GUARDED_BY(mu_) = {0x5eed, 1, 0};
  mutable std::uint64_t drop_at_read_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<spool::OutcomeRecord> records_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> cursors_ ABSL_GUARDED_BY(mu_);
  std::vector<std::weak_ptr<spool::OutcomeListener>> listeners_ ABSL_GUARDED_BY(mu_);
  mutable absl::Status failure_ ABSL_GUARDED_BY(mu_);
  mutable std::size_t reads_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t asks_ ABSL_GUARDED_BY(mu_) = 0;
};

// A session of delivery, as far as the bridge sees it.
class FakeSession {
 public:
  explicit FakeSession(bridge::Bridge& bridge, std::string domain = "a.example") : bridge_(bridge) {
    info.id = base::NewId(absl::Now());
    info.pair = std::make_shared<const mail::PairKey>(mail::PairKey{std::move(domain), "default"});
    info.remote_address = "192.0.2.1:25";
  }

  // A session never goes while its question is open.
  ~FakeSession() {
    if (!asked.settled) Settle();
  }

  void Connect() {
    hooks::ConnectionAttempt attempt;
    attempt.connection = &info;
    attempt.attempt_number = 1;
    hooks::DomainRecord record{};
    record.attempt = &attempt;
    bridge_.PostInitiate(record, 7);
  }
  void Attempt() {
    report.message_id = base::NewId(absl::Now());
    report.disposition = mail::Disposition::kDelivered;
    report.reply.code = 250;
    bridge_.OnDeliveryAttempt(info, report);
  }
  // True if an answer must be waited for.
  bool Ask() {
    Attempt();
    construct = hooks::DeliveryConstruct{};
    construct.connection_info = &info;
    construct.report = &report;
    asked = bridge_.Ask(construct, true, [this] {
      base::MutexLock lock(mu_);
      woken_ = true;
      changed_.notify_all();
    });
    return !asked.settled;
  }
  // False when the answer has not come within `limit`.
  bool AwaitWake(absl::Duration limit = absl::Seconds(60)) {
    base::MutexLock lock(mu_);
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit);
    while (!woken_) {
      if (changed_.wait_until(lock.native(), until) == std::cv_status::timeout) return woken_;
    }
    return true;
  }
  hooks::ShutdownVerdict Settle() {
    if (!asked.settled) bridge_.Settle(asked.question, construct);
    asked.settled = true;
    hooks::ShutdownVerdict verdict;
    if (bridge::Bridge::ShouldShutdown(construct) != 0) verdict = *construct.remote;
    bridge_.OnVerdict(construct, verdict);
    return verdict;
  }
  void Close() { bridge_.OnConnectionClosed(info, {}); }

  mail::ConnectionInfo info;
  hooks::AttemptReport report;
  hooks::DeliveryConstruct construct;
  hooks::VerdictSource::Asked asked;

 private:
  bridge::Bridge& bridge_;
  base::Mutex mu_;
  std::condition_variable changed_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
};

// The shortest token that is long enough.
inline constexpr char kToken[] = "0123456789abcdef";

class RpcTest : public testing::Test {
 protected:
  RpcTest() { policy.timeout = absl::Seconds(5); }
  ~RpcTest() override {
    server.reset();
    bridge.reset();
  }

  void Start() {
    bridge = std::make_unique<bridge::Bridge>(policy, clock, registry, EncodeEvent);
    absl::StatusOr<std::unique_ptr<RpcServer>> started =
        RpcServer::Start({.listeners = listeners, .access = access, .limits = limits},
                         {intake, control, messages, operations, outcomes, *bridge, bindings,
                          registry, clock, [this] { return chains; }});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    const std::string target = server->ports()[0] != 0
                                   ? absl::StrCat("127.0.0.1:", server->ports()[0])
                                   : listeners[0].address;
    channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
    delivery_stub = v1::Delivery::NewStub(channel);
    hooks_stub = v1::Hooks::NewStub(channel);
    control_stub = v1::Control::NewStub(channel);
  }

  // No call of a test may hang for ever.
  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    return context;
  }

  static v1::SubmitRequest Message(std::string sender = "s@a.example") {
    v1::SubmitRequest request;
    request.set_sender(std::move(sender));
    request.add_recipients("r@b.example");
    request.set_content("Subject: x\r\n\r\nbody\r\n");
    return request;
  }

  TestClock clock;
  base::Registry registry;
  mail::BindingTable bindings;
  bridge::PolicyOptions policy;
  std::vector<Listener> listeners = {{"127.0.0.1:0"}};
  AccessOptions access;
  Limits limits;
  std::vector<ChainProvider> chains;
  FakeIntake intake;
  FakeControl control;
  FakeMessages messages;
  FakeOperations operations;
  FakeOutcomes outcomes;
  std::unique_ptr<bridge::Bridge> bridge;
  std::unique_ptr<RpcServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Delivery::Stub> delivery_stub;
  std::unique_ptr<v1::Hooks::Stub> hooks_stub;
  std::unique_ptr<v1::Control::Stub> control_stub;
};

}  // namespace postern::rpc
