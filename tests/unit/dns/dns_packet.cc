#include "tests/unit/dns/dns_packet.h"

#include <asio/ip/address.hpp>
#include <utility>

#include "absl/strings/str_split.h"

namespace postern::dns::testing {

void PutU16(Octets& out, int value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xFF));
  out.push_back(static_cast<std::uint8_t>(value & 0xFF));
}

void PutU32(Octets& out, std::uint32_t value) {
  PutU16(out, static_cast<int>(value >> 16));
  PutU16(out, static_cast<int>(value & 0xFFFF));
}

void PutName(Octets& out, absl::string_view name) {
  for (const absl::string_view label : absl::StrSplit(name, '.', absl::SkipEmpty())) {
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
  }
  out.push_back(0);
}

PacketRecord A(std::string owner, std::uint32_t ttl, std::string address) {
  const auto octets = asio::ip::make_address_v4(address).to_bytes();
  return {std::move(owner), kTypeA, ttl, Octets(octets.begin(), octets.end())};
}

PacketRecord Aaaa(std::string owner, std::uint32_t ttl, std::string address) {
  const auto octets = asio::ip::make_address_v6(address).to_bytes();
  return {std::move(owner), kTypeAaaa, ttl, Octets(octets.begin(), octets.end())};
}

PacketRecord Mx(std::string owner, std::uint32_t ttl, int preference, std::string host) {
  PacketRecord record{std::move(owner), kTypeMx, ttl, {}};
  PutU16(record.data, preference);
  PutName(record.data, host);
  return record;
}

PacketRecord Cname(std::string owner, std::uint32_t ttl, std::string target) {
  PacketRecord record{std::move(owner), kTypeCname, ttl, {}};
  PutName(record.data, target);
  return record;
}

PacketRecord Soa(std::string zone, std::uint32_t ttl, std::uint32_t minimum) {
  PacketRecord record{std::move(zone), kTypeSoa, ttl, {}};
  PutName(record.data, "ns.test");
  PutName(record.data, "hostmaster.test");
  for (const std::uint32_t value : {1U, 3600U, 600U, 86400U, minimum}) PutU32(record.data, value);
  return record;
}

Octets DnsPacket::Encode() const {
  Octets out;
  PutU16(out, id);
  PutU16(out, 0x8180 | (truncated ? 0x0200 : 0) | rcode);
  PutU16(out, 1);
  PutU16(out, static_cast<int>(answers.size()));
  PutU16(out, static_cast<int>(authorities.size()));
  PutU16(out, 0);
  PutName(out, name);
  PutU16(out, type);
  PutU16(out, 1);
  for (const auto* section : {&answers, &authorities}) {
    for (const PacketRecord& record : *section) {
      PutName(out, record.owner);
      PutU16(out, record.type);
      PutU16(out, 1);
      PutU32(out, record.ttl);
      PutU16(out, static_cast<int>(record.data.size()));
      out.insert(out.end(), record.data.begin(), record.data.end());
    }
  }
  return out;
}

}  // namespace postern::dns::testing
