#include "server/bridge/bridge.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "server/base/log.h"
#include "server/bridge/audit_log.h"
#include "server/bridge/question_desk.h"
#include "server/bridge/session.h"
#include "server/hooks/registry.h"

namespace postern::bridge {
namespace {

extern "C" {
void PostInitiateProvider(void* closure, domain_record* dr, int, struct timeval*, int conn_fd) {
  static_cast<Bridge*>(closure)->PostInitiate(hooks::DomainRecord::From(dr), conn_fd);
}
int ShouldShutdownProvider(void*, delivery_construct* dc) {
  return Bridge::ShouldShutdown(hooks::DeliveryConstruct::From(dc));
}
}  // extern "C"

}  // namespace

struct Bridge::Parts {
  Parts(PolicyOptions policy, const base::Clock& the_clock, base::Registry& registry,
        Encoder the_encoder)
      : options(std::move(policy)),
        encoder(std::move(the_encoder)),
        clock(the_clock),
        defaults(options),
        switches(clock),
        scopes(clock),
        providers(options, registry),
        fanout(options, providers, clock, registry, encoder),
        desk(defaults, switches, scopes, fanout, connections, clock, registry) {
    registry.AddGaugeFunction(
        "postern_policy_switches",
        "Kill switches that are not on: of providers, of all remote policy, the switch file.", {},
        [this] { return static_cast<double>(switches.List().size()); });
  }

  std::shared_ptr<const Matcher> Share(Matcher matcher) {
    return matchers.Share(std::make_shared<const Matcher>(std::move(matcher)));
  }
  // The provider of a name, which may be a new one.
  absl::StatusOr<ProviderPtr> ProviderFor(const std::string& name) {
    scopes.Expire();  // what is over must not keep a name
    return providers.Get(name);
  }

  const PolicyOptions options;
  const Encoder encoder;
  const base::Clock& clock;
  DefaultTable defaults;
  PolicySwitch switches;
  MatcherPool matchers;  // of clients that decide
  ScopeTable scopes;
  ProviderTable providers;
  Fanout fanout;
  ConnectionTable connections;
  QuestionDesk desk;
  std::unique_ptr<AuditLog> audit;  // null: none
  std::atomic<std::uint64_t> config_generation{0};
  std::atomic<std::uint64_t> next_stream{1};
};

Bridge::Bridge(PolicyOptions options, const base::Clock& clock, base::Registry& registry,
               Encoder encoder)
    : parts_(std::make_unique<Parts>(std::move(options), clock, registry, std::move(encoder))) {
  parts_->config_generation = parts_->options.config_generation;
}

Bridge::~Bridge() = default;

absl::Status Bridge::RegisterProviders() {
  return hooks::RegisterServerProvider("bridge", [this] {
    if (parts_->options.bridge_first) {
      register_core_post_initiate_connection_smtp_hook_first(PostInitiateProvider, this);
      register_core_smtp_should_session_shutdown_hook_first(ShouldShutdownProvider, this);
    } else {
      register_core_post_initiate_connection_smtp_hook_last(PostInitiateProvider, this);
      register_core_smtp_should_session_shutdown_hook_last(ShouldShutdownProvider, this);
    }
  });
}

void Bridge::SetPolicy(const PolicyOptions& options) {
  parts_->defaults.Replace(options);
  parts_->config_generation = options.config_generation;
  parts_->providers.SetExpected(options.providers);
  parts_->fanout.Rerouted();
}

void Bridge::SetAuditLog(std::unique_ptr<AuditLog> log) { parts_->audit = std::move(log); }

void Bridge::SetSessionControl(hooks::SessionControl* control) {
  parts_->desk.SetSessionControl(control);
}

// ---- streams ----

absl::StatusOr<std::unique_ptr<Subscription>> Bridge::Watch(
    WatchRequest request, std::shared_ptr<Subscriber> subscriber) {
  absl::StatusOr<Matcher> matcher = Matcher::Create(std::move(request.filter));
  if (!matcher.ok()) return matcher.status();
  Parts& parts = *parts_;
  StreamSpec spec;
  spec.id = parts.next_stream.fetch_add(1, std::memory_order_relaxed);
  spec.kinds = request.kinds.empty() ? KindSet::Default() : request.kinds;
  spec.matcher = std::make_shared<const Matcher>(*std::move(matcher));
  spec.counts = &parts.fanout.CountsFor("watch", "", request.client);
  auto stream = std::make_shared<Stream>(std::move(spec), parts.options, parts.clock, parts.encoder,
                                         std::move(subscriber));
  bool snapshot = request.snapshot;
  const absl::StatusOr<std::uint64_t> head = parts.fanout.Add(stream, request.after, &snapshot);
  if (!head.ok()) return head.status();
  if (snapshot) {
    stream->SetSnapshot(
        {*head, parts.connections.List(*stream->spec().matcher, parts.clock.Steady())});
  }
  return std::unique_ptr<Subscription>(new WatchSession(parts.fanout, std::move(stream)));
}

absl::StatusOr<std::unique_ptr<DecideSession>> Bridge::Attach(
    AttachRequest request, std::shared_ptr<Subscriber> subscriber) {
  Parts& parts = *parts_;
  if (!ValidProviderName(request.provider)) {
    return absl::InvalidArgumentError("attach.provider: must be 1 to 64 of [a-z0-9._-]");
  }
  absl::StatusOr<Matcher> matcher = Matcher::Create(std::move(request.filter));
  if (!matcher.ok()) return matcher.status();
  // All that may refuse it comes before its name is remembered.
  const absl::Status room = parts.fanout.CheckRoom(parts.providers.Find(request.provider).get());
  if (!room.ok()) return room;
  const absl::StatusOr<ProviderPtr> provider = parts.ProviderFor(request.provider);
  if (!provider.ok()) return provider.status();

  StreamSpec spec;
  spec.id = parts.next_stream.fetch_add(1, std::memory_order_relaxed);
  spec.provider = *provider;
  spec.provider_id = absl::StrCat(request.provider, "/", spec.id);
  spec.identity = request.identity;
  spec.kinds = request.kinds.empty() ? KindSet::Default() : request.kinds;
  spec.matcher = parts.Share(*std::move(matcher));
  spec.ask = request.ask;
  spec.shadow = request.shadow;
  spec.priority = std::clamp(request.priority, -100, 100);
  spec.default_verdict = request.default_verdict;
  spec.timeout = request.timeout;
  spec.counts =
      &parts.fanout.CountsFor("decide", kModeNames[request.shadow ? 1 : 0], request.provider);

  Attached attached;
  attached.provider_id = spec.provider_id;
  attached.epoch = parts.fanout.epoch();
  attached.ask = spec.ask;
  attached.shadow = spec.shadow;
  attached.priority = spec.priority;
  attached.timeout = parts.defaults.TimeoutFor(request.provider, request.timeout);
  attached.kinds = spec.kinds;
  attached.filter = spec.matcher->filter();
  attached.default_verdict = parts.defaults.ForAnyDomain(request.provider, request.default_verdict);

  auto stream = std::make_shared<Stream>(std::move(spec), parts.options, parts.clock, parts.encoder,
                                         std::move(subscriber));
  bool snapshot = request.snapshot;
  const absl::StatusOr<std::uint64_t> head = parts.fanout.Add(stream, std::nullopt, &snapshot);
  if (!head.ok()) return head.status();
  attached.head_sequence = *head;
  (*provider)->SetAttached(attached, request.default_verdict);
  if (snapshot) {
    stream->SetSnapshot(
        {*head, parts.connections.List(*stream->spec().matcher, parts.clock.Steady())});
  }
  base::Log().info(
      "bridge: {} attached by {}", attached.provider_id,
      request.identity.empty() ? "an unnamed client" : absl::Utf8SafeCEscape(request.identity));
  return std::unique_ptr<DecideSession>(
      new AttachedSession(parts.fanout, parts.desk, std::move(stream), std::move(attached)));
}

absl::StatusOr<std::vector<VerdictResult>> Bridge::PostVerdicts(const std::string& provider,
                                                                const std::string& by,
                                                                const Filter& within,
                                                                std::vector<Verdict> verdicts) {
  if (!ValidProviderName(provider)) {
    return absl::InvalidArgumentError("provider: must be 1 to 64 of [a-z0-9._-]");
  }
  absl::StatusOr<Matcher> matcher = Matcher::Create(within);
  if (!matcher.ok()) return matcher.status();
  Giver giver{parts_->providers.Find(provider), by, parts_->Share(*std::move(matcher))};
  return parts_->desk.Post(
      std::move(giver), [&] { return parts_->ProviderFor(provider); }, std::move(verdicts));
}

absl::Status Bridge::SaveScopes(
    const std::function<absl::Status(const ScopeTable::Kept& rules)>& save) {
  absl::Status status = parts_->scopes.Save(save);
  parts_->matchers.Purge();
  return status;
}

void Bridge::RestoreScope(const std::string& provider, ScopeRule rule) {
  const absl::StatusOr<ProviderPtr> known = parts_->ProviderFor(provider);
  if (rule.within) rule.within = parts_->matchers.Share(std::move(rule.within));
  if (known.ok()) return parts_->scopes.Restore(*known, std::move(rule));
  base::Log().warn("bridge: a rule for {} of {} is not restored: {}", rule.target.domain, provider,
                   std::string(known.status().message()));
}

void Bridge::EndAged() { parts_->desk.EndAged(); }

PolicySwitch& Bridge::policy_switch() { return parts_->switches; }

std::vector<ProviderStatus> Bridge::ListProviders() const {
  std::vector<ProviderStatus> list;
  for (const ProviderPtr& provider : parts_->providers.All()) {
    std::vector<std::string> ids;
    std::array<bool, 2> attached{};  // [shadow]
    for (const StreamPtr& stream : parts_->fanout.StreamsOf(provider.get())) {
      ids.push_back(stream->spec().provider_id);
      attached[stream->spec().shadow ? 1 : 0] = true;
    }
    list.push_back(provider->Status(parts_->clock.Steady(), attached[0], attached[1]));
    list.back().streams = std::move(ids);
    list.back().scopes = parts_->scopes.CountOf(provider.get());
    list.back().position = parts_->switches.For(provider->name());
  }
  return list;
}

void Bridge::Drain(absl::Time deadline) { parts_->fanout.Drain(deadline); }
std::uint64_t Bridge::epoch() const { return parts_->fanout.epoch(); }
std::uint64_t Bridge::head_sequence() const { return parts_->fanout.head_sequence(); }

// ---- what happens on connections ----

// The connection as the table knows it, or a copy of what the session says.
struct Bridge::Known {
  std::shared_ptr<const mail::ConnectionInfo> info;
  std::uint64_t opened;  // in this generation of the routes
};

Bridge::Known Bridge::Lookup(const mail::ConnectionInfo& info) {
  {
    ConnectionTable::Shard& shard = parts_->connections.ShardOf(info.id);
    base::MutexLock lock(shard.mu);
    if (const Connection* connection = shard.Find(info.id)) {
      return {connection->info, connection->opened_among};
    }
  }
  return {std::make_shared<const mail::ConnectionInfo>(info), parts_->fanout.generation()};
}

void Bridge::PostInitiate(const hooks::DomainRecord& record, int conn_fd) {
  const hooks::ConnectionAttempt* attempt = record.attempt;
  if (attempt == nullptr || attempt->connection == nullptr) return;
  const mail::ConnectionInfo& info = *attempt->connection;
  Parts& parts = *parts_;
  std::shared_ptr<const mail::ConnectionInfo> shared;
  std::uint64_t opened = parts.fanout.generation();
  // In the table before the event is out: who answers the event must find the connection.
  if (conn_fd >= 0) {
    ConnectionTable::Shard& shard = parts.connections.ShardOf(info.id);
    base::MutexLock lock(shard.mu);
    const Connection& connection = shard.Ensure(info, parts.clock.Steady(), opened);
    shared = connection.info;
    opened = connection.opened_among;
  }
  if (!parts.fanout.Raise(EventKind::kPostInitiate)) return;
  if (!shared) shared = std::make_shared<const mail::ConnectionInfo>(info);
  PostInitiateEvent what;
  what.conn_fd = std::max(conn_fd, -1);
  what.error = conn_fd >= 0 ? mail::ConnError::kNone : attempt->error;
  what.attempt = attempt->attempt_number;
  what.probable_message_id = attempt->probable_message_id;
  what.queue_depth = attempt->queue_depth;
  what.detail = attempt->detail;
  const std::uint64_t sequence =
      parts.fanout.Publish({parts.clock.Now(), std::move(shared), std::move(what)}, opened);
  if (conn_fd < 0) return;
  ConnectionTable::Shard& shard = parts.connections.ShardOf(info.id);
  base::MutexLock lock(shard.mu);
  if (Connection* connection = shard.Find(info.id)) connection->initiate_sequence = sequence;
}

int Bridge::ShouldShutdown(const hooks::DeliveryConstruct& construct) {
  return construct.remote && construct.remote->shutdown ? 1 : 0;
}

void Bridge::OnSessionReady(const mail::ConnectionInfo& connection,
                            const hooks::SessionReady& ready) {
  if (!parts_->fanout.Raise(EventKind::kSessionReady)) return;
  Known known = Lookup(connection);
  parts_->fanout.Publish({parts_->clock.Now(), std::move(known.info), ready}, known.opened);
}

void Bridge::OnDeliveryAttempt(const mail::ConnectionInfo& connection,
                               const hooks::AttemptReport& report) {
  DeliveryAttemptEvent what;
  std::shared_ptr<const mail::ConnectionInfo> shared;
  std::uint64_t opened = parts_->fanout.generation();
  {
    ConnectionTable::Shard& shard = parts_->connections.ShardOf(connection.id);
    base::MutexLock lock(shard.mu);
    Connection& known = shard.Ensure(connection, parts_->clock.Steady(), opened);
    opened = known.opened_among;
    what.attempts = ++known.attempts;
    if (report.disposition == mail::Disposition::kDelivered) ++known.deliveries;
    what.deliveries = known.deliveries;
    shared = known.info;
  }
  if (!parts_->fanout.Raise(EventKind::kDeliveryAttempt)) return;
  what.report = report;
  parts_->fanout.Publish({parts_->clock.Now(), std::move(shared), std::move(what)}, opened);
}

void Bridge::OnConnectionClosed(const mail::ConnectionInfo& connection,
                                const hooks::ConnectionClosed& closed) {
  Known known = Lookup(connection);
  // Gone from the table before the event is out: a snapshot never holds what was said to be closed.
  parts_->desk.CloseConnection(connection.id);
  if (!parts_->fanout.Raise(EventKind::kConnectionClosed)) return;
  parts_->fanout.Publish({parts_->clock.Now(), std::move(known.info), closed}, known.opened);
}

// ---- questions ----

hooks::VerdictSource::Asked Bridge::Ask(hooks::DeliveryConstruct& construct, bool wait_allowed,
                                        std::function<void()> wake) {
  return parts_->desk.Ask(construct, wait_allowed, std::move(wake));
}

absl::Time Bridge::DeadlineOf(std::uint64_t question, const hooks::DeliveryConstruct& construct) {
  return parts_->desk.DeadlineOf(question, construct);
}

void Bridge::Settle(std::uint64_t question, hooks::DeliveryConstruct& construct) {
  parts_->desk.Settle(question, construct);
}

void Bridge::OnVerdict(const hooks::DeliveryConstruct& construct,
                       const hooks::ShutdownVerdict& verdict) {
  const bool told = parts_->fanout.Raise(EventKind::kVerdict);
  if (!told && !parts_->audit) return;
  const mail::ConnectionInfo& info = *construct.connection_info;
  LastDecision last;
  AuditRecord record;
  std::uint64_t opened = parts_->fanout.generation();
  {
    ConnectionTable::Shard& shard = parts_->connections.ShardOf(info.id);
    base::MutexLock lock(shard.mu);
    if (Connection* connection = shard.Find(info.id)) {
      last = connection->last;
      record.connection = connection->info;
      opened = connection->opened_among;
      QuestionDesk::NoteEffective(*connection, verdict.shutdown);
      const PendingQuestion* question = connection->question.get();
      // Of another number: nobody was asked this time.
      if (parts_->audit && question != nullptr && last.number == question->number) {
        record.parts = question->parts;
        record.asked_at = question->asked_at;
      }
    }
  }
  if (!record.connection) record.connection = std::make_shared<const mail::ConnectionInfo>(info);
  VerdictEvent& what = record.effective;
  const bool shutdown = verdict.shutdown && !verdict.result_ignored;
  const bool native = verdict.shutdown && verdict.cause != mail::CloseCause::kRemotePolicy;
  what.decision = shutdown ? Decision::kShutdown : Decision::kKeep;
  what.source = verdict.result_ignored ? DecisionSource::kIgnored
                : native               ? DecisionSource::kNative
                                       : last.source;
  if (!verdict.result_ignored) {
    what.provider = native ? verdict.provider : last.provider;
    what.reason = native ? verdict.reason : last.reason;
  }
  what.default_cause = last.cause;
  what.waited = last.waited;
  what.number = last.number;
  if (construct.report != nullptr) what.message_id = construct.report->message_id;
  if (!record.parts.empty()) {
    record.number = last.number;
    record.native_shutdown = native;
    if (native) {
      record.native_provider = verdict.provider;
      record.native_reason = verdict.reason;
    }
    record.config_generation = parts_->config_generation;
    parts_->audit->Add(record);
  }
  if (!told) return;
  parts_->fanout.Publish({parts_->clock.Now(), std::move(record.connection), std::move(what)},
                         opened);
}

}  // namespace postern::bridge
