// TlsContext: what the TLS sessions of one kind share: protocol versions, certificate, CAs, and the
// session tickets of hosts, so that the next connection to a host resumes instead of shaking hands.
// TlsContexts: the contexts of one thread, each made once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;

namespace postern::net {

// What an error code of OpenSSL says, in its words or the system's.
std::string TlsErrorText(unsigned long code);

struct TlsSettings {
  enum class Verify : std::uint8_t { kNo, kCa, kHost };

  Verify verify = Verify::kNo;
  bool only_13 = false;                    // lowest version: TLS 1.3 instead of 1.2
  std::string certificate_file, key_file;  // PEM; both or neither

  // Equal settings have equal keys.
  std::string Key() const;
};

// Thread: one.
class TlsContext {
 public:
  // Tickets of so many hosts are kept; beyond that the oldest goes.
  static constexpr std::size_t kMaxTickets = 512;

  // Reads the files. INVALID_ARGUMENT, naming the file: one cannot be read, is no PEM of its kind,
  // or the key is not the certificate's.
  static absl::StatusOr<std::shared_ptr<TlsContext>> Create(const TlsSettings& settings);

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  TlsSettings::Verify verify() const { return verify_; }
  // A new client session; the caller frees it. Null: no memory.
  ssl_st* NewSession();

  // The ticket of `peer`, or null. Remains the context's.
  ssl_session_st* TicketOf(absl::string_view peer) const;
  // Takes over one reference. `peer` names host and address: a resumed session does not verify the
  // host again.
  void Keep(absl::string_view peer, ssl_session_st* ticket);
  void Drop(absl::string_view peer);

 private:
  using Ticket = std::pair<std::string, ssl_session_st*>;

  explicit TlsContext(TlsSettings::Verify verify) : verify_(verify) {}

  const TlsSettings::Verify verify_;
  ssl_ctx_st* ctx_ = nullptr;
  std::list<Ticket> tickets_;  // oldest first
  absl::flat_hash_map<std::string, std::list<Ticket>::iterator> by_peer_;
};

// Thread: one.
class TlsContexts {
 public:
  // The context for `settings`, made at the first call. Those of another `generation` (of the
  // configuration) are forgotten, so that files are read again when it changes.
  absl::StatusOr<std::shared_ptr<TlsContext>> Get(const TlsSettings& settings,
                                                  std::uint64_t generation);

 private:
  std::uint64_t generation_ = 0;
  absl::flat_hash_map<std::string, std::shared_ptr<TlsContext>> contexts_;
};

}  // namespace postern::net
