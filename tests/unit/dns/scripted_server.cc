#include "tests/unit/dns/scripted_server.h"

#include <asio/buffer.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace postern::dns::testing {
namespace {

constexpr std::size_t kHeaderBytes = 12;

}  // namespace

ScriptedServer::ScriptedServer(asio::io_context& io) : udp_(io), tcp_(io) {
  const auto loopback = asio::ip::address_v4::loopback();
  udp_.open(asio::ip::udp::v4());
  tcp_.open(asio::ip::tcp::v4());
  // The port that UDP gets may be taken for TCP: then both try another.
  for (asio::error_code error = asio::error::address_in_use; error;) {
    tcp_.close();
    udp_.close();
    udp_.open(asio::ip::udp::v4());
    tcp_.open(asio::ip::tcp::v4());
    udp_.bind({loopback, 0});
    tcp_.bind({loopback, udp_.local_endpoint().port()}, error);
  }
  tcp_.listen();
  Receive();
  Accept();
}

std::string ScriptedServer::address() const {
  return absl::StrCat("127.0.0.1:", udp_.local_endpoint().port());
}

void ScriptedServer::Answer(DnsPacket packet) {
  const Key key{packet.name, packet.type};
  scripts_[key].packet = std::move(packet);
}

void ScriptedServer::Records(std::string name, int type, std::vector<PacketRecord> records) {
  DnsPacket packet;
  packet.name = std::move(name);
  packet.type = type;
  packet.answers = std::move(records);
  Answer(std::move(packet));
}

void ScriptedServer::Rcode(std::string name, int type, int rcode) {
  DnsPacket packet;
  packet.name = std::move(name);
  packet.type = type;
  packet.rcode = rcode;
  Answer(std::move(packet));
}

void ScriptedServer::Silence(std::string name, int type) {
  scripts_[{std::move(name), type}].silent = true;
}

void ScriptedServer::Damage(std::string name, int type) {
  scripts_[{std::move(name), type}].damaged = true;
}

int ScriptedServer::Count(const std::string& name, int type) const {
  const auto found = counts_.find({name, type});
  return found == counts_.end() ? 0 : found->second;
}

void ScriptedServer::Receive() {
  udp_.async_receive_from(asio::buffer(buffer_), from_,
                          [this](const asio::error_code& error, std::size_t size) {
                            if (error) return;
                            const Octets answer = Reply(buffer_.data(), size, false);
                            if (!answer.empty()) udp_.send_to(asio::buffer(answer), from_);
                            Receive();
                          });
}

void ScriptedServer::Accept() {
  tcp_.async_accept([this](const asio::error_code& error, asio::ip::tcp::socket socket) {
    if (error) return;
    ReadSession(std::make_shared<Session>(std::move(socket)));
    Accept();
  });
}

void ScriptedServer::ReadSession(const std::shared_ptr<Session>& session) {
  asio::async_read(
      session->socket, asio::buffer(session->size),
      [this, session](const asio::error_code& error, std::size_t) {
        if (error) return;
        session->question.resize(std::size_t{session->size[0]} << 8 | session->size[1]);
        asio::async_read(
            session->socket, asio::buffer(session->question),
            [this, session](const asio::error_code& failed, std::size_t size) {
              if (failed) return;
              ++tcp_questions_;
              const Octets answer = Reply(session->question.data(), size, true);
              session->answer.clear();
              PutU16(session->answer, static_cast<int>(answer.size()));
              session->answer.insert(session->answer.end(), answer.begin(), answer.end());
              asio::async_write(session->socket, asio::buffer(session->answer),
                                [this, session](const asio::error_code& broken, std::size_t) {
                                  if (!broken) ReadSession(session);
                                });
            });
      });
}

Octets ScriptedServer::Reply(const std::uint8_t* question, std::size_t size, bool tcp) {
  if (size < kHeaderBytes + 5) return {};
  std::string name;
  std::size_t at = kHeaderBytes;
  while (at < size && question[at] != 0) {
    const std::size_t length = question[at];
    if (at + 1 + length >= size) return {};
    if (!name.empty()) name.push_back('.');
    name.append(question + at + 1, question + at + 1 + length);
    at += 1 + length;
  }
  const int type = question[at + 1] << 8 | question[at + 2];
  const Key key{absl::AsciiStrToLower(name), type};
  ++counts_[key];
  Script script = scripts_[key];
  if (script.silent) return {};
  script.packet.id = question[0] << 8 | question[1];
  script.packet.name = name;
  script.packet.type = type;
  if (tcp) {
    script.packet.truncated = false;
  } else if (script.packet.truncated) {
    script.packet.answers.clear();
  }
  Octets out = script.packet.Encode();
  if (script.damaged) {
    out[7] = 1;  // promises an answer record
    out.push_back(0);
  }
  return out;
}

}  // namespace postern::dns::testing
