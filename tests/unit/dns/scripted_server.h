// ScriptedServer: a DNS server on loopback inside the test's own io_context, UDP and TCP on one
// port. Questions that no script knows are answered with "no data". Counts what it is asked.
#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/unit/dns/dns_packet.h"

namespace postern::dns::testing {

class ScriptedServer {
 public:
  explicit ScriptedServer(asio::io_context& io);

  std::string address() const;  // "127.0.0.1:port"

  void Answer(DnsPacket packet);  // for packet.name and packet.type
  void Records(std::string name, int type, std::vector<PacketRecord> records);
  void Rcode(std::string name, int type, int rcode);
  void Silence(std::string name, int type);  // never answers
  void Damage(std::string name, int type);   // answers with cut off records

  int Count(const std::string& name, int type) const;
  int tcp_questions() const { return tcp_questions_; }

 private:
  struct Script {
    DnsPacket packet = {};
    bool silent = false;
    bool damaged = false;
  };
  struct Session {
    explicit Session(asio::ip::tcp::socket s) : socket(std::move(s)) {}
    asio::ip::tcp::socket socket;
    std::array<std::uint8_t, 2> size{};
    Octets question;
    Octets answer;
  };
  using Key = std::pair<std::string, int>;

  void Receive();
  void Accept();
  void ReadSession(const std::shared_ptr<Session>& session);
  // Empty for no answer.
  Octets Reply(const std::uint8_t* question, std::size_t size, bool tcp);

  asio::ip::udp::socket udp_;
  asio::ip::tcp::acceptor tcp_;
  asio::ip::udp::endpoint from_;
  std::array<std::uint8_t, 4096> buffer_{};
  std::map<Key, Script> scripts_;
  std::map<Key, int> counts_;
  int tcp_questions_ = 0;
};

}  // namespace postern::dns::testing
