// DnsPacket: builds DNS answers octet by octet, right or wrong ones, for the tests of this room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace postern::dns::testing {

inline constexpr int kTypeA = 1;
inline constexpr int kTypeCname = 5;
inline constexpr int kTypeSoa = 6;
inline constexpr int kTypeMx = 15;
inline constexpr int kTypeAaaa = 28;

using Octets = std::vector<std::uint8_t>;

void PutU16(Octets& out, int value);
void PutU32(Octets& out, std::uint32_t value);
void PutName(Octets& out, absl::string_view name);  // uncompressed

struct PacketRecord {
  std::string owner;
  int type = kTypeA;
  std::uint32_t ttl = 0;
  Octets data;
};

PacketRecord A(std::string owner, std::uint32_t ttl, std::string address);
PacketRecord Aaaa(std::string owner, std::uint32_t ttl, std::string address);
PacketRecord Mx(std::string owner, std::uint32_t ttl, int preference, std::string host);
PacketRecord Cname(std::string owner, std::uint32_t ttl, std::string target);
PacketRecord Soa(std::string zone, std::uint32_t ttl, std::uint32_t minimum);

struct DnsPacket {
  int id = 0x1234;
  int rcode = 0;
  bool truncated = false;
  std::string name = {};
  int type = kTypeMx;
  std::vector<PacketRecord> answers = {};
  std::vector<PacketRecord> authorities = {};

  Octets Encode() const;
};

}  // namespace postern::dns::testing
