// TlsStream: the client's side of TLS over another stream, for STARTTLS.
//
//   auto tls = std::make_unique<net::TlsStream>(std::move(stream), context, "mx.example.com");
//   const net::TlsHandshake done = co_await tls->Handshake();
//   if (!done.error.empty()) ...
//
// OpenSSL reads and writes the descriptor itself, so that an idle session keeps no buffer.
#pragma once

#include <asio/any_io_executor.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <system_error>

#include "server/net/stream.h"
#include "server/net/tls_context.h"

namespace postern::net {

// Errors of TLS itself, in IoResult::error; the system's are of the system's category.
const std::error_category& TlsCategory();

struct TlsHandshake {
  std::string error;      // why it failed, in words; empty: it did not
  std::string version;    // "TLSv1.3"
  std::string cipher;     // "TLS_AES_256_GCM_SHA384"
  bool verified = false;  // the certificate passed: chain, and host name unless verify is kCa
  bool resumed = false;   // by a ticket of an earlier session
};

class TlsStream final : public Stream {
 public:
  // `host` is the name or address that was dialled: it is sent to the peer and compared with its
  // certificate. Nothing is read or written yet.
  TlsStream(std::unique_ptr<Stream> plain, std::shared_ptr<TlsContext> context, std::string host);
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Once, before all else. Has no deadline of its own: Close() ends it.
  asio::awaitable<TlsHandshake> Handshake();

  asio::awaitable<IoResult> ReadSome(char* data, std::size_t size) override;
  // `bytes` counts whole records that the kernel took: of one that it took in part the peer can
  // make nothing.
  asio::awaitable<IoResult> WriteAll(absl::string_view first, absl::string_view second) override;
  asio::awaitable<std::error_code> WaitReadable() override { return plain_->WaitReadable(); }
  asio::awaitable<std::error_code> WaitWritable() override { return plain_->WaitWritable(); }
  void NotifyReadable(std::function<void()> ready) override;
  void CancelNotify() override;
  // Says farewell (close_notify) if the system takes it at once.
  void Close() override;
  int native_handle() override { return plain_->native_handle(); }
  std::string local_address() const override { return plain_->local_address(); }
  std::string remote_address() const override { return plain_->remote_address(); }

  // For OpenSSL's callback: takes over one reference.
  void KeepTicket(ssl_session_st* ticket);

 private:
  struct Bio;  // OpenSSL's way to the descriptor
  enum class Next { kRead, kWrite, kFault };

  // What is to be awaited after a call of OpenSSL that returned `result` <= 0; fills fault_.
  Next After(int result);
  asio::awaitable<std::error_code> Await(Next next);
  asio::awaitable<void> WritePart(absl::string_view part, IoResult& result);
  std::string Failure() const;
  std::string TicketName() const;
  void SetHost();
  // Calls *notify_ if a read would not wait, else looks again when something comes.
  void Look();

  const std::unique_ptr<Stream> plain_;
  const std::shared_ptr<TlsContext> context_;
  const std::string host_;
  ssl_st* ssl_;
  asio::any_io_executor executor_;
  std::error_code fault_;  // set once it is of no more use, but for the end of the stream
  int io_errno_ = 0;       // of the last system call that failed
  bool established_ = false;
  std::shared_ptr<std::function<void()>> notify_;  // emptied by CancelNotify()
};

}  // namespace postern::net
