#include "server/dns/mx.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace postern::dns {
namespace {

constexpr std::size_t kHostsInText = 3;

MxAnswer Failure(MxOutcome outcome, std::string error, absl::Duration ttl) {
  MxAnswer answer;
  answer.outcome = outcome;
  answer.error = std::move(error);
  answer.ttl = std::max(ttl, absl::ZeroDuration());
  return answer;
}

std::string NoSuchDomain(absl::string_view domain) {
  return absl::StrCat("the domain ", domain, " does not exist (NXDOMAIN)");
}

// By preference; at random within one, as RFC 5321 §5.1 demands. Each name once, at its best.
std::vector<MxHost> Order(const std::vector<MxRecord>& records, std::mt19937_64& random) {
  std::vector<MxHost> hosts;
  for (const MxRecord& record : records) {
    if (!record.host.empty()) hosts.push_back({record.host, record.preference});
  }
  std::shuffle(hosts.begin(), hosts.end(), random);
  std::stable_sort(hosts.begin(), hosts.end(), [](const MxHost& left, const MxHost& right) {
    return left.preference < right.preference;
  });
  absl::flat_hash_set<std::string> seen;
  hosts.erase(std::remove_if(hosts.begin(), hosts.end(),
                             [&](const MxHost& host) { return !seen.insert(host.name).second; }),
              hosts.end());
  if (hosts.size() > kMaxHosts) hosts.resize(kMaxHosts);
  return hosts;
}

// Collects targets and, for the case that there are none, why not.
class Assembler {
 public:
  explicit Assembler(std::mt19937_64& random) : random_(random) {}

  void AddHost(const MxHost& host, const HostRecords& records) {
    std::size_t room = kMaxAddressesPerHost;
    Add(host, records.a.get(), RecordType::kA, room);
    Add(host, records.aaaa.get(), RecordType::kAaaa, room);
  }

  std::vector<Target>& targets() { return targets_; }
  const std::string& temporary() const { return temporary_; }
  bool nonexistent() const { return nonexistent_; }  // every lookup said NXDOMAIN
  absl::Time expires() const { return expires_; }

 private:
  void Add(const MxHost& host, const RecordSet* set, RecordType type, std::size_t& room) {
    const bool missing = set == nullptr;
    expires_ = std::min(expires_, missing ? absl::InfinitePast() : set->expires);
    if (missing || set->status != RecordStatus::kNoDomain) nonexistent_ = false;
    if (missing || set->status == RecordStatus::kTemporary) {
      if (!temporary_.empty()) return;
      temporary_ = missing ? absl::StrCat("time-out for ", RecordTypeName(type), " of ", host.name)
                           : set->error;
      return;
    }
    std::vector<asio::ip::address> addresses = set->addresses;
    std::shuffle(addresses.begin(), addresses.end(), random_);
    for (const asio::ip::address& address : addresses) {
      if (room == 0) return;
      if (!seen_.insert(address).second) continue;
      targets_.push_back({host.name, host.preference, address});
      --room;
    }
  }

  std::mt19937_64& random_;
  std::vector<Target> targets_;
  std::set<asio::ip::address> seen_;
  std::string temporary_;  // the first lookup that failed
  bool nonexistent_ = true;
  absl::Time expires_ = absl::InfiniteFuture();
};

std::string NoAddress(const MxPlan& plan) {
  std::string text = "no address for";
  for (std::size_t i = 0; i < std::min(plan.hosts.size(), kHostsInText); ++i) {
    absl::StrAppend(&text, i == 0 ? " " : ", ", plan.hosts[i].name);
  }
  if (plan.hosts.size() > kHostsInText) {
    absl::StrAppend(&text, " and ", plan.hosts.size() - kHostsInText, " more");
  }
  return plan.domain_itself ? text : absl::StrCat(text, ", the MX of ", plan.domain);
}

MxAnswer LiteralAnswer(absl::string_view text, const asio::ip::address& address) {
  MxAnswer answer;
  answer.outcome = MxOutcome::kOk;
  answer.targets.push_back({std::string(text), 0, address});
  answer.ttl = kLiteralTtl;
  return answer;
}

}  // namespace

bool HostRecords::usable() const {
  return (a != nullptr && !a->addresses.empty()) || (aaaa != nullptr && !aaaa->addresses.empty());
}

MxPlan PlanMail(absl::string_view domain, const RecordSet& mx, absl::Time now,
                std::mt19937_64& random) {
  const absl::Duration ttl = mx.expires - now;
  MxPlan plan;
  plan.domain = std::string(domain);
  switch (mx.status) {
    case RecordStatus::kTemporary:
      plan.answer = Failure(MxOutcome::kTemporary, mx.error, ttl);
      return plan;
    case RecordStatus::kNoDomain:
      plan.answer = Failure(MxOutcome::kNoDomain, NoSuchDomain(domain), ttl);
      return plan;
    case RecordStatus::kNoData:
      plan = PlanHost(domain);
      break;
    case RecordStatus::kRecords:
      plan.hosts = Order(mx.mx, random);
      if (plan.hosts.empty()) {
        plan.answer =
            Failure(MxOutcome::kNullMx,
                    absl::StrCat("the domain ", domain, " accepts no mail (null MX)"), ttl);
        return plan;
      }
      break;
  }
  plan.expires = mx.expires;
  return plan;
}

MxPlan PlanHost(absl::string_view host) {
  MxPlan plan;
  plan.domain = std::string(host);
  plan.hosts.push_back({plan.domain, 0});
  plan.domain_itself = true;
  return plan;
}

MxAnswer Assemble(const MxPlan& plan, const std::vector<HostRecords>& records, absl::Time now,
                  std::mt19937_64& random) {
  Assembler assembler(random);
  for (std::size_t i = 0; i < plan.hosts.size(); ++i) assembler.AddHost(plan.hosts[i], records[i]);
  const absl::Duration ttl = std::min(plan.expires, assembler.expires()) - now;
  if (!assembler.targets().empty()) {
    MxAnswer answer;
    answer.outcome = MxOutcome::kOk;
    answer.targets = std::move(assembler.targets());
    answer.missing = assembler.temporary();
    answer.ttl = std::max(ttl, absl::ZeroDuration());
    return answer;
  }
  if (!assembler.temporary().empty()) {
    return Failure(MxOutcome::kTemporary, assembler.temporary(), ttl);
  }
  if (plan.domain_itself && assembler.nonexistent()) {
    return Failure(MxOutcome::kNoDomain, NoSuchDomain(plan.domain), ttl);
  }
  return Failure(MxOutcome::kNoAddress, NoAddress(plan), ttl);
}

std::optional<MxAnswer> AnswerMailLiteral(absl::string_view domain) {
  if (!absl::StartsWith(domain, "[")) return std::nullopt;
  absl::string_view inner = domain;
  asio::error_code error;
  asio::ip::address address;
  if (absl::ConsumePrefix(&inner, "[") && absl::ConsumeSuffix(&inner, "]")) {
    if (absl::StartsWithIgnoreCase(inner, "ipv6:")) {
      address = asio::ip::make_address_v6(std::string(inner.substr(5)), error);
    } else {
      address = asio::ip::make_address_v4(std::string(inner), error);
    }
    if (!error) return LiteralAnswer(domain, address);
  }
  return Failure(MxOutcome::kNoDomain, absl::StrCat(domain, " is not an address literal"),
                 kLiteralTtl);
}

std::optional<MxAnswer> AnswerHostLiteral(absl::string_view host) {
  absl::string_view inner = host;
  const bool bracketed = absl::ConsumePrefix(&inner, "[");
  if (bracketed) absl::ConsumeSuffix(&inner, "]");
  asio::error_code error;
  const asio::ip::address address = asio::ip::make_address(std::string(inner), error);
  if (!error) return LiteralAnswer(inner, address);
  return bracketed ? AnswerMailLiteral(host) : std::nullopt;
}

}  // namespace postern::dns
