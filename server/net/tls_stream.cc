#include "server/net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/error.hpp>
#include <asio/ip/address.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/check.h"

namespace postern::net {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tls"; }
  std::string message(int code) const override {
    return absl::StrCat("TLS: ", TlsErrorText(static_cast<unsigned int>(code)));
  }
};

// The host without brackets if it is an address, else empty.
std::string AsAddress(const std::string& host) {
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  std::string text = brackets ? host.substr(1, host.size() - 2) : host;
  std::error_code error;
  asio::ip::make_address(text, error);
  return error ? std::string() : text;
}

}  // namespace

const std::error_category& TlsCategory() {
  static const Category category;
  return category;
}

// A socket BIO of OpenSSL would raise SIGPIPE.
struct TlsStream::Bio {
  static TlsStream* Of(BIO* bio) { return static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int Done(BIO* bio, ssize_t moved, int retry) {
    BIO_clear_retry_flags(bio);
    if (moved < 0) {
      Of(bio)->io_errno_ = errno;
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) BIO_set_flags(bio, retry);
    }
    return static_cast<int>(moved);
  }

  static int Read(BIO* bio, char* data, int size) {
    const ssize_t read =
        ::recv(Of(bio)->plain_->native_handle(), data, static_cast<std::size_t>(size), 0);
    if (read == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return Done(bio, read, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
  }

  static int Write(BIO* bio, const char* data, int size) {
    const ssize_t written = ::send(Of(bio)->plain_->native_handle(), data,
                                   static_cast<std::size_t>(size), MSG_NOSIGNAL);
    return Done(bio, written, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY);
  }

  static long Control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static BIO* New(TlsStream* stream) {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
      POSTERN_CHECK(made != nullptr);
      BIO_meth_set_read(made, Read);
      BIO_meth_set_write(made, Write);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    BIO* bio = BIO_new(method);
    POSTERN_CHECK(bio != nullptr);
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    return bio;
  }
};

TlsStream::TlsStream(std::unique_ptr<Stream> plain, std::shared_ptr<TlsContext> context,
                     std::string host)
    : plain_(std::move(plain)),
      context_(std::move(context)),
      host_(std::move(host)),
      ssl_(context_->NewSession()) {
  POSTERN_CHECK(ssl_ != nullptr);
  BIO* bio = Bio::New(this);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, this);
  SSL_set_connect_state(ssl_);
  SetHost();
}

TlsStream::~TlsStream() {
  CancelNotify();
  SSL_free(ssl_);
}

void TlsStream::SetHost() {
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl_);
  const bool compare = context_->verify() != TlsSettings::Verify::kCa;
  const std::string address = AsAddress(host_);
  if (!address.empty()) {
    if (compare) X509_VERIFY_PARAM_set1_ip_asc(param, address.c_str());
    return;
  }
  // SSL_set_tlsext_host_name(), whose macro casts like C. OpenSSL copies it.
  SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
           const_cast<char*>(host_.c_str()));
  if (!compare) return;
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(param, host_.data(), host_.size());
}

std::string TlsStream::TicketName() const { return absl::StrCat(host_, " ", remote_address()); }

void TlsStream::KeepTicket(ssl_session_st* ticket) { context_->Keep(TicketName(), ticket); }

TlsStream::Next TlsStream::After(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return Next::kRead;
    case SSL_ERROR_WANT_WRITE:
      return Next::kWrite;
    case SSL_ERROR_ZERO_RETURN:
      fault_ = asio::error::eof;
      break;
    case SSL_ERROR_SSL:
      fault_ = std::error_code(static_cast<int>(ERR_peek_error()), TlsCategory());
      break;
    default:
      if (io_errno_ == 0) {
        fault_ = asio::error::eof;
      } else {
        fault_ = std::error_code(io_errno_, std::system_category());
      }
  }
  ERR_clear_error();
  return Next::kFault;
}

asio::awaitable<std::error_code> TlsStream::Await(Next next) {
  std::error_code error = fault_;
  if (next == Next::kRead) error = co_await plain_->WaitReadable();
  if (next == Next::kWrite) error = co_await plain_->WaitWritable();
  co_return error;
}

// Why the handshake failed.
std::string TlsStream::Failure() const {
  const long verdict = SSL_get_verify_result(ssl_);
  if (fault_.category() == TlsCategory() && verdict != X509_V_OK &&
      context_->verify() != TlsSettings::Verify::kNo) {
    return absl::StrCat("TLS: certificate: ", X509_verify_cert_error_string(verdict));
  }
  if (fault_ == asio::error::eof) return "connection closed during the TLS handshake";
  return fault_.message();
}

asio::awaitable<TlsHandshake> TlsStream::Handshake() {
  executor_ = co_await asio::this_coro::executor;
  TlsHandshake done;
  if (ssl_session_st* ticket = context_->TicketOf(TicketName())) SSL_set_session(ssl_, ticket);
  for (;;) {
    ERR_clear_error();
    io_errno_ = 0;
    const int result = SSL_connect(ssl_);
    if (result == 1) break;
    const std::error_code error = co_await Await(After(result));
    if (!error) continue;
    if (!fault_) fault_ = error;  // closed by this side
    context_->Drop(TicketName());
    done.error = Failure();
    co_return done;
  }
  established_ = true;
  done.version = SSL_get_version(ssl_);
  done.cipher = SSL_get_cipher_name(ssl_);
  done.verified =
      SSL_get_verify_result(ssl_) == X509_V_OK && SSL_get0_peer_certificate(ssl_) != nullptr;
  done.resumed = SSL_session_reused(ssl_) == 1;
  co_return done;
}

asio::awaitable<IoResult> TlsStream::ReadSome(char* data, std::size_t size) {
  IoResult result;
  while (!fault_) {
    ERR_clear_error();
    io_errno_ = 0;
    const int read = SSL_read_ex(ssl_, data, size, &result.bytes);
    if (read == 1) co_return result;
    result.error = co_await Await(After(read));
    if (result.error) co_return result;
  }
  result.error = fault_;
  co_return result;
}

asio::awaitable<void> TlsStream::WritePart(absl::string_view part, IoResult& result) {
  while (!part.empty() && !result.error) {
    ERR_clear_error();
    io_errno_ = 0;
    std::size_t taken = 0;
    const int wrote = SSL_write_ex(ssl_, part.data(), part.size(), &taken);
    if (wrote == 1) {
      part.remove_prefix(taken);
      result.bytes += taken;
    } else {
      result.error = co_await Await(After(wrote));
    }
  }
}

asio::awaitable<IoResult> TlsStream::WriteAll(absl::string_view first, absl::string_view second) {
  IoResult result;
  result.error = fault_;
  co_await WritePart(first, result);
  co_await WritePart(second, result);
  co_return result;
}

void TlsStream::NotifyReadable(std::function<void()> ready) {
  notify_ = std::make_shared<std::function<void()>>(std::move(ready));
  if (fault_ || SSL_has_pending(ssl_) == 1) {
    asio::post(executor_, [this, notify = notify_] {
      if (*notify) Look();
    });
  } else {
    // A ticket that was the last to be read leaves an empty buffer behind.
    SSL_free_buffers(ssl_);
    plain_->NotifyReadable([this] { Look(); });
  }
}

void TlsStream::Look() {
  // What came may be a ticket, or half a record: then a read would wait all the same.
  ERR_clear_error();
  io_errno_ = 0;
  char byte = 0;
  std::size_t got = 0;
  const int peeked = fault_ ? 1 : SSL_peek_ex(ssl_, &byte, 1, &got);
  if (peeked != 1 && After(peeked) != Next::kFault) {
    return plain_->NotifyReadable([this] { Look(); });
  }
  const std::shared_ptr<std::function<void()>> notify = notify_;
  (*notify)();
}

void TlsStream::CancelNotify() {
  if (notify_ == nullptr) return;
  *notify_ = nullptr;
  notify_ = nullptr;
  plain_->CancelNotify();
}

void TlsStream::Close() {
  if (established_ && !fault_ && native_handle() >= 0) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  plain_->Close();
}

}  // namespace postern::net
