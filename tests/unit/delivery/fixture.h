// DeliveryTest: a dispatcher with one thread over a spool in memory, and every call of
// post_initiate_connection_smtp as a line of text.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "hooks/core/post_initiate_connection_smtp.h"
#include "server/delivery/dispatcher.h"
#include "tests/support/memory_spool.h"
#include "tests/unit/hooks/fixture.h"

namespace postern::delivery {

// The system's clock, whose steady time the test may stop: what waits for it waits on.
class TestClock final : public base::Clock {
 public:
  void Stop() { stopped_at_ = system_.Steady(); }
  absl::Time Now() const override { return system_.Now(); }
  absl::Time Steady() const override { return stopped_at_.value_or(system_.Steady()); }

 private:
  base::SystemClock system_;
  std::optional<absl::Time> stopped_at_;
};

// The options of each binding; change them before Start().
class TestOptions final : public mail::OptionsSource {
 public:
  TestOptions() { at("default"); }
  mail::DeliveryOptions& at(const std::string& binding) { return bindings_[binding]; }
  std::shared_ptr<const mail::DeliveryOptions> ForPair(absl::string_view,
                                                       absl::string_view binding) const override {
    return std::make_shared<const mail::DeliveryOptions>(bindings_.at(std::string(binding)));
  }
  bool KnowsBinding(absl::string_view binding) const override {
    return bindings_.count(std::string(binding)) > 0;
  }
  std::uint64_t generation() const override { return generation_; }
  // Other options are in force. Thread: the one that asks for them.
  void Renew() { ++generation_; }

 private:
  std::uint64_t generation_ = 0;
  std::map<std::string, mail::DeliveryOptions> bindings_;
};

// Knows what the test tells it, and calls everything else NXDOMAIN.
class TestResolver final : public dns::Resolver {
 public:
  using Known = std::map<std::string, dns::MxAnswer>;
  explicit TestResolver(const Known& known) : known_(known) {}
  absl::Status SetServers(const std::vector<std::string>&) override { return absl::OkStatus(); }
  std::shared_ptr<const dns::MxAnswer> Cached(absl::string_view domain) override {
    return Find(std::string(domain));
  }
  std::shared_ptr<const dns::MxAnswer> CachedHost(absl::string_view host) override {
    return Find(std::string(host));
  }
  asio::awaitable<std::shared_ptr<const dns::MxAnswer>> ResolveMail(std::string domain,
                                                                    absl::Duration) override {
    co_return Answer(domain);
  }
  asio::awaitable<std::shared_ptr<const dns::MxAnswer>> ResolveHost(std::string host,
                                                                    absl::Duration) override {
    co_return Answer(host);
  }

 private:
  std::shared_ptr<const dns::MxAnswer> Find(const std::string& name) const {
    const auto found = known_.find(name);
    if (found == known_.end()) return nullptr;
    return std::make_shared<const dns::MxAnswer>(found->second);
  }
  std::shared_ptr<const dns::MxAnswer> Answer(const std::string& name) const {
    if (auto known = Find(name)) return known;
    dns::MxAnswer none;
    none.outcome = dns::MxOutcome::kNoDomain;
    none.error = absl::StrCat("NXDOMAIN for ", name);
    return std::make_shared<const dns::MxAnswer>(none);
  }

  const Known& known_;
};

class DeliveryTest : public hooks::HooksTest {
 protected:
  // What the hook is called with: "b.test: HOST_MAX_REACHED"; "b.test: NONE" for a connection.
  struct Events {
    std::mutex mu;
    std::condition_variable changed;
    std::vector<std::string> lines;
  };

  DeliveryTest() {
    RegisterNative("recorder", [this] {
      register_core_post_initiate_connection_smtp_hook_last(&Record, &events_);
    });
    hooks::FreezeHooks();
    mail::DeliveryOptions& options = options_.at("default");
    mail::HostPort host;
    host.host = "127.0.0.1";
    host.port = listener_.local_endpoint().port();
    options.routes = {host};
    options.retry_jitter = 0;
  }
  ~DeliveryTest() override {
    if (dispatcher_ != nullptr) dispatcher_->Stop();
  }

  // Reads the spool and starts the thread.
  void Start() {
    dispatcher_ = std::make_unique<Dispatcher>(
        context_, admission_, Dispatcher::Options{1, {}},
        [this](asio::io_context&) { return std::make_unique<TestResolver>(known_); });
    ASSERT_TRUE(dispatcher_->Recover().ok());
    dispatcher_->Start();
  }

  base::Id Submit(std::vector<std::string> recipients, std::string binding = "default") {
    mail::Submission submission;
    submission.sender = "s@source.test";
    submission.recipients = std::move(recipients);
    submission.binding = std::move(binding);
    submission.content = "Subject: test\r\n\r\nHello.\r\n";
    base::Id id;
    dispatcher_->intake().Submit(std::move(submission), [&id](absl::StatusOr<Receipt> receipt) {
      EXPECT_TRUE(receipt.ok()) << receipt.status();
      if (receipt.ok()) id = receipt->message_id;
    });
    return id;
  }

  // Waits until so many calls were made; all of them, as lines.
  std::vector<std::string> WaitEvents(std::size_t count) {
    std::unique_lock<std::mutex> lock(events_.mu);
    const bool came = events_.changed.wait_for(lock, std::chrono::seconds(60),
                                               [&] { return events_.lines.size() >= count; });
    EXPECT_TRUE(came) << count << " events";
    return events_.lines;
  }
  // Waits until the queue is as `is` says.
  QueueInfo WaitQueue(const std::string& domain, const std::function<bool(const QueueInfo&)>& is) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      for (QueueInfo& queue : dispatcher_->ListQueues(domain, "")) {
        if (is(queue)) return std::move(queue);
      }
    }
    ADD_FAILURE() << "the queue of " << domain << " is not as it should be";
    return {};
  }
  // The address that the routes of the default binding lead to, as the host table calls it.
  std::string host() const { return absl::StrCat("127.0.0.1:", listener_.local_endpoint().port()); }

  asio::io_context io_;
  // Takes connections and says nothing.
  asio::ip::tcp::acceptor listener_{io_, {asio::ip::address_v4::loopback(), 0}};
  TestClock clock_;  // stop it before Start()
  base::Registry registry_;
  postern::testing::MemorySpool spool_;
  TestOptions options_;
  TestResolver::Known known_;
  mail::BindingTable bindings_;
  hooks::HookPoint hook_point_{clock_, nullptr, nullptr};
  DeliveryMetrics metrics_{registry_};
  Context context_{clock_, spool_, options_, bindings_, hook_point_, metrics_};
  Admission admission_{
      {}, [] { return AdmissionReading{}; }, metrics_.queued_rows, clock_, registry_};
  Events events_;
  std::unique_ptr<Dispatcher> dispatcher_;

 private:
  static void Record(void* closure, domain_record* dr, int, timeval*, int conn_fd) {
    auto& events = *static_cast<Events*>(closure);
    const auto error = static_cast<mail::ConnError>(std::min(conn_fd, 0));
    const std::lock_guard<std::mutex> lock(events.mu);
    events.lines.push_back(absl::StrCat(dr->domain, ": ", mail::Name(error)));
    events.changed.notify_all();
  }
};

}  // namespace postern::delivery
