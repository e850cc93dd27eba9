// verdict_pingpong: what a verdict costs, against a bare ping-pong with the same pacing.
//
//   verdict_pingpong [--count 3000] [--paced 300] [--gap-ms 1 20] [--stall 200] [--stall-ms 1000
//   3300]
//
// In turns, so that both meet the same machine: a question of a session (bridge, RpcServer, client,
// and back to the session's thread), and a frame there and back on a bare completion queue. Then,
// with --stall, questions and unary Submit calls at long gaps: none may take over 20 ms
// (gRPC 1.51's callback API would). Clients are processes of their own. Exit code 1 when a bound is
// missed.
#include <grpcpp/grpcpp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "postern/v1/delivery.grpc.pb.h"
#include "postern/v1/hooks.grpc.pb.h"
#include "server/base/log.h"
#include "server/bridge/bridge.h"
#include "server/rpc/convert_hooks.h"
#include "server/rpc/server.h"

namespace postern {
namespace {

using Clock = std::chrono::steady_clock;
using Micros = std::chrono::duration<double, std::micro>;

constexpr double kMostRatio = 2.5;
constexpr double kMostStallMs = 20;

struct Gaps {
  double least_ms = 0, most_ms = 0;
};

void Pause(const Gaps& gaps) {
  static std::mt19937 random(42);
  if (gaps.most_ms <= 0) return;
  std::uniform_real_distribution<double> ms(gaps.least_ms, gaps.most_ms);
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms(random)));
}

struct Latencies {
  std::vector<double> us;
  double At(double share) {
    if (us.empty()) return 0;
    std::sort(us.begin(), us.end());
    return us[std::min(us.size() - 1,
                       static_cast<std::size_t>(share * static_cast<double>(us.size())))];
  }
};

// ---- clients, each a process of its own ----

std::shared_ptr<grpc::Channel> Connect(int port) {
  return grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                             grpc::InsecureChannelCredentials());
}

// Answers every question with KEEP, on a blocking stream.
int RunPolicy(int port) {
  const auto stub = v1::Hooks::NewStub(Connect(port));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const auto stream = stub->Decide(&context);
  v1::DecideRequest out;
  out.mutable_attach()->set_provider("bench");
  out.mutable_attach()->add_kinds(v1::EVENT_KIND_CONNECTION_CLOSED);
  stream->Write(out);
  v1::DecideResponse in;
  std::uint64_t id = 0;
  while (stream->Read(&in)) {
    if (!in.has_questions()) continue;
    out.Clear();
    for (const v1::Question& question : in.questions().questions()) {
      v1::Verdict* verdict = out.mutable_verdicts()->add_verdicts();
      verdict->set_verdict_id(++id);
      verdict->mutable_question()->set_connection_id(question.connection_id());
      verdict->mutable_question()->set_number(question.number());
      verdict->set_decision(v1::DECISION_KEEP);
    }
    if (!stream->Write(out)) break;
  }
  return 0;
}

int RunSubmit(int port, int count, Gaps gaps) {
  const auto stub = v1::Delivery::NewStub(Connect(port));
  v1::SubmitRequest request;
  request.add_recipients("r@b.example");
  request.set_content(std::string(4096, 'x'));
  Latencies latencies;
  for (int i = 0; i < count; ++i) {
    if (i > 0) Pause(gaps);
    grpc::ClientContext context;
    v1::SubmitReceipt receipt;
    const auto start = Clock::now();
    if (!stub->Submit(&context, request, &receipt).ok()) return 1;
    if (i > 0) latencies.us.push_back(Micros(Clock::now() - start).count());  // the first connects
  }
  if (count < 2) return 0;
  std::printf("submit at gaps: n %zu p50 %.0f us max %.0f us\n", latencies.us.size(),
              latencies.At(0.5), latencies.At(1));
  return latencies.At(1) <= kMostStallMs * 1000 ? 0 : 1;
}

// A process forked before gRPC is used; runs once it is told the port.
class Child {
 public:
  explicit Child(const std::function<int(int port)>& run) {
    int fds[2];
    if (pipe(fds) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      close(fds[1]);
      int port = 0;
      const bool told = read(fds[0], &port, sizeof port) == sizeof port;
      const int code = told ? run(port) : 0;
      std::fflush(stdout);
      _exit(code);
    }
    close(fds[0]);
    fd_ = fds[1];
  }
  void Tell(int port) {
    if (write(fd_, &port, sizeof port) != sizeof port) std::abort();
  }
  int Wait() {
    close(fd_);
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }

 private:
  pid_t pid_ = 0;
  int fd_ = -1;
};

// ---- the bare ping-pong: one stream, one completion queue, one thread ----

class Bare {
 public:
  Bare() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    cq_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    service_.RequestDecide(&context_, &stream_, cq_.get(), cq_.get(), Tag(1));
  }
  ~Bare() {
    context_.TryCancel();
    server_->Shutdown(std::chrono::system_clock::now());
    cq_->Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (cq_->Next(&tag, &ok)) {
    }
  }
  int port() const { return port_; }

  // The client has attached.
  void Accept() {
    Next();
    stream_.Read(&in_, Tag(2));
    Next();
  }
  double PingMicros() {
    v1::DecideResponse out;
    v1::Question* question = out.mutable_questions()->add_questions();
    question->set_connection_id(std::string(32, 'a'));
    question->set_message_id(std::string(32, 'b'));
    question->set_domain("a.example");
    question->set_number(++number_);
    const auto start = Clock::now();
    stream_.Read(&in_, Tag(2));
    stream_.Write(out, Tag(3));
    // Whichever comes first, it is the answer's time that counts.
    auto end = start;
    for (int left = 2; left > 0; --left) {
      if (Next() == Tag(2)) end = Clock::now();
    }
    return Micros(end - start).count();
  }

 private:
  static void* Tag(std::size_t n) {
    static std::array<char, 4> tags;  // only their addresses matter
    return &tags[n];
  }
  void* Next() {
    void* tag = nullptr;
    bool ok = false;
    if (!cq_->Next(&tag, &ok) || !ok) std::abort();
    return tag;
  }

  v1::Hooks::WithAsyncMethod_Decide<v1::Hooks::Service> service_;
  std::unique_ptr<grpc::ServerCompletionQueue> cq_;
  std::unique_ptr<grpc::Server> server_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<v1::DecideResponse, v1::DecideRequest> stream_{&context_};
  v1::DecideRequest in_;
  std::uint32_t number_ = 0;
  int port_ = 0;
};

// ---- the service itself ----

struct Intake final : delivery::Intake {
  void Submit(mail::Submission submission, Done done) override {
    delivery::Receipt receipt;
    receipt.message_id = base::NewId(absl::Now());
    receipt.rows.push_back({"b.example", std::move(submission.binding)});
    done(std::move(receipt));
  }
};
struct Control final : delivery::Control {
  std::vector<delivery::QueueInfo> ListQueues(const std::string&, const std::string&) override {
    return {};
  }
  std::vector<delivery::ConnectionEntry> ListConnections() override { return {}; }
  void BeginDrain(absl::Duration) override {}
  delivery::DrainProgress drain_progress() const override { return {}; }
};
struct Messages final : delivery::MessageSource {
  absl::StatusOr<delivery::MessageView> Get(const base::Id&, History) override {
    return absl::NotFoundError("none");
  }
  absl::StatusOr<Page> List(const Query&) override { return Page(); }
};
struct Operations final : delivery::Operations {
  absl::StatusOr<std::uint64_t> Suspend(mail::Hold) override { return 0; }
  absl::StatusOr<Resumed> Resume(const mail::Scope&) override { return Resumed(); }
  std::vector<mail::Hold> Holds() override { return {}; }
  absl::StatusOr<std::uint64_t> Flush(const mail::Scope&, const base::Id&) override { return 0; }
  absl::StatusOr<std::uint64_t> Fail(const mail::Scope&, mail::Reply, bool) override { return 0; }
  absl::StatusOr<std::uint64_t> Reroute(const mail::Scope&, const std::string&) override {
    return 0;
  }
  absl::Status ShutdownConnection(const base::Id&, const std::string&, const std::string&,
                                  bool) override {
    return absl::OkStatus();
  }
  absl::StatusOr<delivery::MessageView> Cancel(const base::Id&, const std::vector<std::string>&,
                                               const std::string&) override {
    return absl::NotFoundError("none");
  }
  absl::StatusOr<delivery::MessageView> Resolve(const base::Id&, const std::string&,
                                                delivery::Resolution) override {
    return absl::NotFoundError("none");
  }
};

struct Outcomes final : spool::OutcomeSource {
  Range OutcomeRange() const override { return {}; }
  absl::StatusOr<std::vector<spool::OutcomeRecord>> ReadOutcomes(std::uint64_t, std::size_t,
                                                                 std::size_t) const override {
    return std::vector<spool::OutcomeRecord>();
  }
  std::optional<std::uint64_t> ConsumerCursor(const std::string&) const override {
    return std::nullopt;
  }
  absl::Status SetConsumerCursor(const std::string&, std::uint64_t) override {
    return absl::OkStatus();
  }
  void AddOutcomeListener(std::weak_ptr<spool::OutcomeListener>) override {}
};

class Service {
 public:
  Service() : bridge_(Policy(), clock_, registry_, rpc::EncodeEvent) {
    auto started = rpc::RpcServer::Start(
        {.listeners = {{"127.0.0.1:0"}}, .access = {}, .limits = {}}, {intake_,
                                                                       control_,
                                                                       messages_,
                                                                       operations_,
                                                                       outcomes_,
                                                                       bridge_,
                                                                       bindings_,
                                                                       registry_,
                                                                       clock_,
                                                                       {}});
    if (!started.ok()) std::abort();
    server_ = *std::move(started);
    connection_.id = base::NewId(absl::Now());
    connection_.pair = std::make_shared<const mail::PairKey>(mail::PairKey{"a.example", "default"});
    hooks::ConnectionAttempt attempt;
    attempt.connection = &connection_;
    hooks::DomainRecord record{};
    record.attempt = &attempt;
    bridge_.PostInitiate(record, 7);
  }
  int port() const { return server_->ports()[0]; }
  void Accept() {
    while (bridge_.ListProviders().empty()) std::this_thread::yield();
  }

  // From the end of a transaction to the session's thread having its answer.
  double AskMicros() {
    report_.message_id = base::NewId(absl::Now());
    report_.reply.code = 250;
    hooks::DeliveryConstruct construct{};
    construct.connection_info = &connection_;
    construct.report = &report_;
    woken_ = false;
    const auto start = Clock::now();
    const auto asked = bridge_.Ask(construct, true, [this] {
      const std::lock_guard<std::mutex> lock(mu_);
      woken_ = true;
      changed_.notify_one();
    });
    if (asked.settled) std::abort();
    {
      std::unique_lock<std::mutex> lock(mu_);
      while (!woken_) changed_.wait(lock);
    }
    const auto end = Clock::now();
    bridge_.Settle(asked.question, construct);
    bridge_.OnVerdict(construct, {});
    return Micros(end - start).count();
  }

 private:
  static bridge::PolicyOptions Policy() {
    bridge::PolicyOptions policy;
    policy.timeout = absl::Seconds(5);
    policy.max_wait_share = 2;  // this session does nothing but wait
    return policy;
  }

  base::SystemClock clock_;
  Outcomes outcomes_;
  base::Registry registry_;
  mail::BindingTable bindings_;
  Intake intake_;
  Control control_;
  Messages messages_;
  Operations operations_;
  bridge::Bridge bridge_;
  std::unique_ptr<rpc::RpcServer> server_;
  mail::ConnectionInfo connection_;
  hooks::AttemptReport report_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool woken_ = false;
};

// ---- measuring ----

bool Compare(const char* what, Bare& bare, Service& service, int count, Gaps gaps) {
  if (count == 0) return true;
  Latencies bare_us, service_us;
  for (int i = 0; i < count; ++i) {
    Pause(gaps);
    bare_us.us.push_back(bare.PingMicros());
    Pause(gaps);
    service_us.us.push_back(service.AskMicros());
  }
  bool good = true;
  for (const double share : {0.5, 0.99}) {
    const double ratio = service_us.At(share) / bare_us.At(share);
    std::printf("%s: p%.0f bare %.0f us, verdict %.0f us, ratio %.2f\n", what, share * 100,
                bare_us.At(share), service_us.At(share), ratio);
    good = good && ratio <= kMostRatio;
  }
  return good;
}

bool Stall(Service& service, int count, Gaps gaps) {
  if (count == 0) return true;
  Latencies us;
  for (int i = 0; i < count; ++i) {
    Pause(gaps);
    us.us.push_back(service.AskMicros());
  }
  std::printf("questions at gaps: n %d p50 %.0f us max %.0f us\n", count, us.At(0.5), us.At(1));
  return us.At(1) <= kMostStallMs * 1000;
}

int Main(int argc, char** argv) {
  CLI::App app("Latency of verdicts against a bare ping-pong");
  int count = 3000, paced = 300, stall = 0;
  std::vector<double> gap{1, 20}, stall_gap{1000, 3300};
  app.add_option("--count", count, "Exchanges back to back");
  app.add_option("--paced", paced, "Exchanges with a gap before each");
  app.add_option("--gap-ms", gap, "Least and most gap")->expected(2);
  app.add_option("--stall", stall, "Questions and Submit calls at long gaps");
  app.add_option("--stall-ms", stall_gap, "Least and most long gap")->expected(2);
  CLI11_PARSE(app, argc, argv);
  const Gaps gaps{gap[0], gap[1]}, long_gaps{stall_gap[0], stall_gap[1]};

  Child bare_client(RunPolicy), client(RunPolicy);
  Child submitter([&](int port) { return RunSubmit(port, stall, long_gaps); });
  bool good = true;
  {
    Bare bare;
    bare_client.Tell(bare.port());
    bare.Accept();
    Service service;
    client.Tell(service.port());
    service.Accept();
    Compare("warm-up", bare, service, std::min(count, 200), {});
    good = Compare("back to back", bare, service, count, {}) && good;
    good = Compare("paced", bare, service, paced, gaps) && good;
    if (stall > 0) submitter.Tell(service.port());
    good = Stall(service, stall, long_gaps) && good;
    good = submitter.Wait() == 0 && good;
  }
  bare_client.Wait();
  client.Wait();
  std::printf("%s\n", good ? "within bounds" : "OUT OF BOUNDS");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) { return postern::Main(argc, argv); }
