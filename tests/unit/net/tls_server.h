// TlsServer: the other end of a TlsStream, on a thread of its own with blocking calls.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "server/base/check.h"

namespace postern::net {

class TlsServer {
 public:
  // One connection, after its handshake. Blocks.
  class Session {
   public:
    explicit Session(SSL* ssl) : ssl_(ssl) {}
    // Up to `size` bytes; "" at the end of the stream.
    std::string Read(int size) {
      std::string bytes(static_cast<std::size_t>(size), '\0');
      const int got = SSL_read(ssl_, bytes.data(), size);
      bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
      return bytes;
    }
    void Write(const std::string& bytes) {
      SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    }
    void SendTicket() {
      SSL_new_session_ticket(ssl_);
      SSL_do_handshake(ssl_);
    }
    bool resumed() const { return SSL_session_reused(ssl_) == 1; }
    // The peer said farewell.
    bool closed_well() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }

   private:
    SSL* const ssl_;
  };

  // Takes `connections` of them in turn and runs `serve` for each.
  TlsServer(int connections, std::function<void(Session&)> serve)
      : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}), ctx_(MakeContext()) {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL's own sockets raise it
    thread_ = std::thread([this, connections, serve = std::move(serve)] {
      for (int i = 0; i < connections; ++i) {
        asio::ip::tcp::socket socket = acceptor_.accept();
        SSL* ssl = SSL_new(ctx_);
        SSL_set_fd(ssl, socket.native_handle());
        if (SSL_accept(ssl) == 1) {
          Session session(ssl);
          serve(session);
        }
        SSL_free(ssl);
      }
    });
  }
  ~TlsServer() {
    thread_.join();
    SSL_CTX_free(ctx_);
  }

  asio::ip::tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  // With a certificate for "mx.example" that it has signed itself.
  static SSL_CTX* MakeContext() {
    SSL_CTX* ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    const unsigned char host[] = "mx.example";
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    POSTERN_CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    POSTERN_CHECK(SSL_CTX_use_certificate(ctx, certificate) == 1);
    POSTERN_CHECK(SSL_CTX_use_PrivateKey(ctx, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ctx;
  }

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_;
  SSL_CTX* const ctx_;
  std::thread thread_;
};

}  // namespace postern::net
