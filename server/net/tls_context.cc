#include "server/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <iterator>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/net/tls_stream.h"

namespace postern::net {
namespace {

// The CAs of the system, read once for all contexts of the process: a megabyte and some 50 ms.
// Never freed. OpenSSL locks it itself.
X509_STORE* SystemStore() {
  static X509_STORE* const store = [] {
    X509_STORE* made = X509_STORE_new();
    // A system without CAs verifies nobody, which is what is then reported.
    if (made != nullptr) X509_STORE_set_default_paths(made);
    ERR_clear_error();
    return made;
  }();
  return store;
}

// Why a file was not taken, in OpenSSL's or the system's words.
absl::Status BadFile(const std::string& file) {
  const std::string reason = TlsErrorText(ERR_peek_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", reason));
}

// A key that asks for a passphrase would otherwise ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::Status UseCertificate(SSL_CTX* ctx, const TlsSettings& settings) {
  if (settings.certificate_file.empty()) return absl::OkStatus();
  ERR_clear_error();
  SSL_CTX_set_default_passwd_cb(ctx, NoPassphrase);
  if (SSL_CTX_use_certificate_chain_file(ctx, settings.certificate_file.c_str()) != 1) {
    return BadFile(settings.certificate_file);
  }
  // Says so too if the key belongs to another certificate.
  if (SSL_CTX_use_PrivateKey_file(ctx, settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return BadFile(settings.key_file);
  }
  return absl::OkStatus();
}

// OpenSSL hands over the tickets of TLS 1.3 when a read comes upon them, those of 1.2 at the end of
// the handshake.
int OnNewTicket(SSL* ssl, SSL_SESSION* ticket) {
  auto* stream = static_cast<TlsStream*>(SSL_get_app_data(ssl));
  if (stream == nullptr || SSL_SESSION_is_resumable(ticket) != 1) return 0;
  stream->KeepTicket(ticket);
  return 1;
}

}  // namespace

std::string TlsErrorText(unsigned long code) {
  if (ERR_SYSTEM_ERROR(code)) {
    return std::error_code(ERR_GET_REASON(code), std::system_category()).message();
  }
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "failed" : reason;
}

std::string TlsSettings::Key() const {
  return absl::StrCat(static_cast<int>(verify), only_13 ? "3" : "2", certificate_file, "\n",
                      key_file);
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Create(const TlsSettings& settings) {
  std::shared_ptr<TlsContext> context(new TlsContext(settings.verify));
  SSL_CTX* ctx = context->ctx_ = SSL_CTX_new(TLS_client_method());
  if (ctx == nullptr || SystemStore() == nullptr) {
    return absl::ResourceExhaustedError("no memory for TLS");
  }
  SSL_CTX_set_min_proto_version(ctx, settings.only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  // Replies end in a line end of their own, so a connection that ends without TLS's farewell, as
  // many do, cannot cut one short.
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
  // Idle sessions give back their buffers: 19 KiB each instead of 52.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set1_cert_store(ctx, SystemStore());
  // Without SSL_VERIFY_PEER the certificate is judged all the same, and nothing follows from it.
  SSL_CTX_set_verify(
      ctx, settings.verify == TlsSettings::Verify::kNo ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
      nullptr);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, OnNewTicket);
  absl::Status status = UseCertificate(ctx, settings);
  if (!status.ok()) return status;
  return context;
}

TlsContext::~TlsContext() {
  for (const Ticket& ticket : tickets_) SSL_SESSION_free(ticket.second);
  SSL_CTX_free(ctx_);
}

ssl_st* TlsContext::NewSession() { return SSL_new(ctx_); }

ssl_session_st* TlsContext::TicketOf(absl::string_view peer) const {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? nullptr : found->second->second;
}

void TlsContext::Keep(absl::string_view peer, ssl_session_st* ticket) {
  Drop(peer);
  if (tickets_.size() == kMaxTickets) Drop(std::string(tickets_.front().first));
  tickets_.emplace_back(std::string(peer), ticket);
  by_peer_.emplace(tickets_.back().first, std::prev(tickets_.end()));
}

void TlsContext::Drop(absl::string_view peer) {
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return;
  SSL_SESSION_free(found->second->second);
  tickets_.erase(found->second);
  by_peer_.erase(found);
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContexts::Get(const TlsSettings& settings,
                                                             std::uint64_t generation) {
  if (generation != generation_) contexts_.clear();
  generation_ = generation;
  std::shared_ptr<TlsContext>& context = contexts_[settings.Key()];
  if (context == nullptr) {
    absl::StatusOr<std::shared_ptr<TlsContext>> made = TlsContext::Create(settings);
    if (!made.ok()) return made.status();
    context = *std::move(made);
  }
  return context;
}

}  // namespace postern::net
