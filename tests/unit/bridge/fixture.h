// What the tests of the bridge share: a clock moved by hand, a stream's far end, a session.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/bridge/bridge.h"

namespace postern::bridge {

class SimulatedClock final : public base::Clock {
 public:
  absl::Time Now() const override { return Steady() + absl::Hours(24 * 365 * 50); }
  absl::Time Steady() const override {
    return absl::UnixEpoch() + absl::Nanoseconds(nanos_.load(std::memory_order_relaxed));
  }
  void Advance(absl::Duration d) {
    nanos_.fetch_add(absl::ToInt64Nanoseconds(d), std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> nanos_{1'000'000'000'000};
};

struct CountingSubscriber final : Subscriber {
  void OnReady() override { ready.fetch_add(1); }
  std::atomic<int> ready{0};
};

// What was taken, sorted by kind; `order` says in which order it came.
struct Received {
  std::vector<Event> events;
  std::vector<std::uint64_t> positions;
  std::vector<Gap> gaps;
  std::vector<Snapshot> snapshots;
  std::vector<Draining> draining;
  std::vector<Question> questions;
  std::vector<QuestionCancelled> cancelled;
  std::vector<VerdictResult> results;
  std::string order;  // e g s d q c r, one for each frame

  template <typename T>
  static void Append(std::vector<T>& all, std::vector<T>& some) {
    all.insert(all.end(), some.begin(), some.end());
  }
  void Add(Frame& frame) {
    order += "egsdqcr"[frame.index()];
    if (auto* run = std::get_if<EventRun>(&frame)) {
      for (std::size_t i = 0; i < run->events.size(); ++i) {
        positions.push_back(run->first_position + i);
      }
      Append(events, run->events);
    }
    if (auto* gap = std::get_if<Gap>(&frame)) gaps.push_back(*gap);
    if (auto* snapshot = std::get_if<Snapshot>(&frame)) snapshots.push_back(*snapshot);
    if (auto* drain = std::get_if<Draining>(&frame)) draining.push_back(*drain);
    if (auto* some = std::get_if<Questions>(&frame)) Append(questions, *some);
    if (auto* cancel = std::get_if<QuestionCancelled>(&frame)) cancelled.push_back(*cancel);
    if (auto* some = std::get_if<VerdictResults>(&frame)) Append(results, *some);
  }
};

inline Received TakeAll(Subscription& subscription, std::size_t max_events = 256,
                        std::size_t max_bytes = 32 << 10) {
  Received received;
  for (bool more = true; more;) {
    Taken taken = subscription.Take(max_events, max_bytes);
    for (Frame& frame : taken.frames) received.Add(frame);
    more = taken.more;
  }
  return received;
}

// A session of delivery, as far as the bridge sees it.
class FakeSession {
 public:
  FakeSession(Bridge& bridge, SimulatedClock& clock, std::string domain = "a.example",
              std::string binding = "default")
      : bridge_(bridge) {
    info.id = base::NewId(clock.Now());
    info.pair =
        std::make_shared<const mail::PairKey>(mail::PairKey{std::move(domain), std::move(binding)});
    info.remote_address = "192.0.2.1:25";
  }

  void Connect(int conn_fd = 7) {
    hooks::ConnectionAttempt attempt;
    attempt.connection = &info;
    attempt.error = conn_fd >= 0 ? mail::ConnError::kNone : mail::ConnError::kConnect;
    attempt.attempt_number = 1;
    hooks::DomainRecord record{};
    record.attempt = &attempt;
    bridge_.PostInitiate(record, conn_fd);
  }

  // A transaction ends and the chain is about to be called.
  hooks::VerdictSource::Asked Ask(bool wait_allowed = true, bool delivered = true) {
    report.message_id = base::NewId(absl::UnixEpoch());
    report.disposition = delivered ? mail::Disposition::kDelivered : mail::Disposition::kDeferred;
    report.reply.code = delivered ? 250 : 451;
    ++attempts;
    if (delivered) ++deliveries;
    bridge_.OnDeliveryAttempt(info, report);
    construct = hooks::DeliveryConstruct{};
    construct.connection_info = &info;
    construct.report = &report;
    construct.deliveries = deliveries;
    construct.attempts = attempts;
    woken.store(0);
    asked = bridge_.Ask(construct, wait_allowed, [this] { woken.fetch_add(1); });
    return asked;
  }

  // Its deadline as it is now.
  absl::Time Deadline() { return bridge_.DeadlineOf(asked.question, construct); }

  // Reads the answer, calls the chain and tells what came of it.
  bool Settle() {
    if (!asked.settled) bridge_.Settle(asked.question, construct);
    asked.settled = true;
    hooks::ShutdownVerdict verdict;
    if (Bridge::ShouldShutdown(construct) != 0) verdict = *construct.remote;
    bridge_.OnVerdict(construct, verdict);
    return verdict.shutdown;
  }

  void Close() {
    hooks::ConnectionClosed closed;
    closed.deliveries = deliveries;
    bridge_.OnConnectionClosed(info, closed);
  }

  mail::ConnectionInfo info;
  hooks::AttemptReport report;
  hooks::DeliveryConstruct construct;
  hooks::VerdictSource::Asked asked;
  std::atomic<int> woken{0};
  std::uint64_t deliveries = 0, attempts = 0;

 private:
  Bridge& bridge_;
};

struct FakeControl final : hooks::SessionControl {
  void RequestShutdown(const mail::ConnectionInfo& connection,
                       hooks::ShutdownVerdict verdict) override {
    requests.emplace_back(connection.id, std::move(verdict));
  }
  std::vector<std::pair<base::Id, hooks::ShutdownVerdict>> requests;
};

// One client with its stream.
struct Client {
  std::shared_ptr<CountingSubscriber> subscriber = std::make_shared<CountingSubscriber>();
  std::unique_ptr<DecideSession> session;
  std::uint64_t next_id = 1;

  Received Take() { return TakeAll(*session); }

  VerdictResult Send(Verdict verdict) {
    if (verdict.verdict_id == 0) verdict.verdict_id = next_id++;
    const std::uint64_t id = verdict.verdict_id;
    EXPECT_TRUE(session->Verdicts({std::move(verdict)}).ok());
    for (VerdictResult& result : Take().results) {
      if (result.verdict_id == id) return result;
    }
    ADD_FAILURE() << "no result for verdict " << id;
    return {};
  }
  VerdictResult Answer(const FakeSession& s, std::uint32_t number, Decision decision,
                       std::string reason = "") {
    Verdict verdict;
    verdict.target = QuestionTarget{s.info.id, number};
    verdict.decision = decision;
    verdict.reason = std::move(reason);
    return Send(std::move(verdict));
  }
  VerdictResult Stand(const FakeSession& s, Decision decision, std::uint64_t after_deliveries = 0,
                      absl::Duration after_age = absl::InfiniteDuration()) {
    Verdict verdict;
    verdict.target = ConnectionTarget{s.info.id, after_deliveries, after_age};
    verdict.decision = decision;
    verdict.reason = "standing";
    return Send(std::move(verdict));
  }
};

class BridgeTest : public testing::Test {
 protected:
  void Start(PolicyOptions options = {}) {
    bridge.reset();
    registry = std::make_unique<base::Registry>();
    bridge =
        std::make_unique<Bridge>(std::move(options), clock, *registry, [this](const auto& data) {
          encoded.fetch_add(1);
          return std::string(Name(data.kind()));
        });
    bridge->SetSessionControl(&control);
  }
  void SetUp() override { Start(); }

  AttachRequest Request(std::string name) {
    AttachRequest request;
    request.provider = std::move(name);
    return request;
  }
  Client Attach(AttachRequest request) {
    Client client;
    auto session = bridge->Attach(std::move(request), client.subscriber);
    EXPECT_TRUE(session.ok()) << session.status();
    client.session = *std::move(session);
    client.Take();
    return client;
  }
  Client Attach(std::string name) { return Attach(Request(std::move(name))); }

  ProviderStatus Status(const std::string& name) {
    for (ProviderStatus& status : bridge->ListProviders()) {
      if (status.name == name) return status;
    }
    ADD_FAILURE() << "no provider " << name;
    return {};
  }
  // The invariant; fails the test when it does not hold.
  void ExpectBalance(std::uint64_t open = 0) {
    for (const ProviderStatus& s : bridge->ListProviders()) {
      std::uint64_t defaults = 0;
      for (const std::uint64_t n : s.defaults) defaults += n;
      EXPECT_EQ(s.questions, s.answered + defaults + s.cancelled + s.open) << s.name;
      EXPECT_EQ(s.open, open) << s.name;
    }
  }
  static std::uint64_t Count(const ProviderStatus& status, DefaultCause cause) {
    return status.defaults[static_cast<std::size_t>(cause)];
  }

  SimulatedClock clock;
  std::unique_ptr<base::Registry> registry;
  FakeControl control;
  std::atomic<int> encoded{0};
  std::unique_ptr<Bridge> bridge;
};

}  // namespace postern::bridge
