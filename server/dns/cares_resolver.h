// CaresResolver: the Resolver that asks real DNS servers, with a cache that keeps to the TTLs.
//
//   auto resolver = CaresResolver::Create(io, {.channel = {.servers = {"127.0.0.1:5353"}}}, clock);
//   auto answer = co_await (*resolver)->ResolveMail(domain, absl::Seconds(30));
//
// Each (name, type) is looked up once, whoever asks; domains that share MX hosts share their
// addresses. MX first, then A and AAAA of all hosts at the same time. CNAMEs are followed by the
// recursive server; we follow them inside its answer.
//
// How long a record set is kept:
//   records                  their TTL, at least 1 s, at most 1 day
//   NXDOMAIN or no records   the SOA's negative TTL or 60 s, at least 1 s, at most 1 h
//   a failed MX lookup       1 s: enough that a queue of mail does not ask once for each message
//   a failed A, AAAA lookup  10 s: otherwise a backup MX with dead name servers would delay every
//                            connection to the domain
// A lookup goes on after its callers' time-outs, until c-ares gives up; the cache keeps its answer.
//
// Thread: one; the io_context's.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/dns/cares_channel.h"
#include "server/dns/resolver.h"

namespace postern::dns {

struct ResolverOptions {
  ChannelOptions channel = {};
  std::size_t cache_entries = 30'000;  // about 10,000 domains; about 10 MB if full
  // Once a host of the best preference has an address, the other lookups get this much longer.
  absl::Duration straggler_wait = absl::Seconds(2);
};

class CaresResolver final : public Resolver {
 public:
  // INVALID_ARGUMENT for a server that is no address. `clock` (the cache's; Steady) and `io` must
  // outlive the resolver.
  static absl::StatusOr<std::unique_ptr<CaresResolver>> Create(asio::io_context& io,
                                                               const ResolverOptions& options,
                                                               const base::Clock& clock);

  // Callers still waiting get kTemporary when the io_context runs next.
  ~CaresResolver() override;

  absl::Status SetServers(const std::vector<std::string>& servers) override;
  std::shared_ptr<const MxAnswer> Cached(absl::string_view domain) override;
  std::shared_ptr<const MxAnswer> CachedHost(absl::string_view host) override;
  asio::awaitable<std::shared_ptr<const MxAnswer>> ResolveMail(std::string domain,
                                                               absl::Duration timeout) override;
  asio::awaitable<std::shared_ptr<const MxAnswer>> ResolveHost(std::string host,
                                                               absl::Duration timeout) override;

 private:
  class Core;
  explicit CaresResolver(std::shared_ptr<Core> core);

  const std::shared_ptr<Core> core_;  // shared with the coroutines under way
};

}  // namespace postern::dns
