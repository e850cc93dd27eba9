// Where the service is, and as whom we come: the global options about the connection, the channel.
//
//   --address unix:/run/postern.sock                        plaintext, known by the socket
//   --address mail:9090 --tls-ca ca.pem --tls-certificate me.pem --tls-key me.key
//   --address mail:9090 --tls-ca ca.pem --token-file token
#pragma once

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace postern::client {

struct Connection {
  std::string address = "127.0.0.1:9090";  // --address, POSTERN_ADDRESS
  // Files: --tls-ca, --tls-certificate, --tls-key, and their environment variables. Any of them, or
  // --tls, makes the connection speak TLS; without --tls-ca the system's CAs count.
  bool tls = false;
  std::string tls_ca, tls_certificate, tls_key;
  std::string tls_server_name;  // expected in the server's certificate; empty: the address' host
  std::string token_file;
};

void AddConnectionOptions(CLI::App& app, Connection& connection);

// A channel. Connects with the first call; a call fails with UNAVAILABLE when nothing listens there
// or the two do not trust each other. Throws CLI::ValidationError naming the option when a file
// cannot be read.
std::shared_ptr<grpc::Channel> Connect(const Connection& connection);

// What to look at when a call failed with this; empty: no idea.
std::string HintFor(const grpc::Status& status);

}  // namespace postern::client
