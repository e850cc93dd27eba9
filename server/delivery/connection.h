// Connection: one connection of a pair, from the question where to dial to the end of its session.
#pragma once

#include <algorithm>
#include <asio/awaitable.hpp>

#include "server/delivery/pair.h"
#include "server/delivery/routing.h"
#include "server/net/connector.h"

namespace postern::delivery {

// Why the hosts of a walk were not dialled.
struct Refusals {
  std::vector<std::string> backed_off, full;
  std::vector<std::string> awaited;  // of backed_off: may be reached by others before
  bool server_full = false;
  absl::Time retry_at = absl::InfiniteFuture();    // steady; the earliest end of a back-off
  std::shared_ptr<const mail::Reply> local_fault;  // of ours; retry_at is also its end

  void Add(const LocalFaults::Suspension& suspension) {
    retry_at = std::min(retry_at, suspension.until);
    local_fault = suspension.reply;
  }
  bool any() const {
    return server_full || !backed_off.empty() || !full.empty() || local_fault != nullptr;
  }
};

class Connection {
 public:
  // Looks up, dials host by host and runs the session; tells the pair when all is over. `turn`
  // (null: none) has a place kept at one of the hosts, until one is dialled.
  static void Start(Pair& pair, std::unique_ptr<HostTable::Turn> turn);

 private:
  static asio::awaitable<void> Run(Pair& pair, std::unique_ptr<HostTable::Turn> turn);
  static asio::awaitable<ConnectionEnd> Attempt(Pair& pair, std::unique_ptr<HostTable::Turn>& turn);
  static asio::awaitable<ConnectionEnd> Dial(Pair& pair, DialTarget target,
                                             std::unique_ptr<HostTable::Permit> permit);
  static asio::awaitable<void> FailActive(
      Pair& pair, const std::shared_ptr<const mail::DeliveryOptions>& options,
      const std::shared_ptr<const mail::Reply>& reply);
  static asio::awaitable<ConnectionEnd> Walk(
      Pair& pair, const std::shared_ptr<const mail::DeliveryOptions>& options, DialPlan plan,
      std::unique_ptr<HostTable::Turn>& turn);
  // A fault of ours, of which the pair's attempt is told if it is news.
  static ConnectionEnd NoteLocalFault(Pair& pair, const mail::ConnectionInfo& info,
                                      const net::ConnectResult& result, bool v6,
                                      std::shared_ptr<const mail::Reply> reply);
  // No host of the walk could be dialled: tells the pair when it may try again.
  static void NoHost(Pair& pair, const Refusals& refusals);
  // Raises post_initiate_connection_smtp for an attempt that reached no address.
  static void RaiseFailure(Pair& pair, mail::ConnError error, std::string detail);
  // The same for an address that may not be dialled.
  static void RaiseProhibited(Pair& pair, const DialTarget& target);
  static void Raise(Pair& pair, const mail::ConnectionInfo& info, mail::ConnError error,
                    int conn_fd, std::string detail);
};

// A record of hooks/types.h for a domain, with its name inside.
std::shared_ptr<hooks::DomainRecord> MakeDomainRecord(const std::string& domain);

}  // namespace postern::delivery
