#include "server/dns/wire.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace postern::dns {
namespace {

constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kTypeCname = 5;
constexpr std::uint16_t kTypeSoa = 6;
constexpr int kRcodeNoDomain = 3;
constexpr std::size_t kMaxNameOctets = 255;  // RFC 1035 §3.1
constexpr int kMaxChain = 16;                // longer CNAME chains are mistakes or loops

// Reads forward through a packet. Every read says whether there was enough.
class Reader {
 public:
  Reader(absl::Span<const std::uint8_t> packet, std::size_t position)
      : packet_(packet), position_(position) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return packet_.size() - position_; }

  bool Skip(std::size_t octets) {
    if (octets > left()) return false;
    position_ += octets;
    return true;
  }
  bool U16(std::uint16_t& out) {
    if (left() < 2) return false;
    out = static_cast<std::uint16_t>(packet_[position_] << 8 | packet_[position_ + 1]);
    position_ += 2;
    return true;
  }
  bool U32(std::uint32_t& out) {
    std::uint16_t high = 0, low = 0;
    if (!U16(high) || !U16(low)) return false;
    out = static_cast<std::uint32_t>(high) << 16 | low;
    return true;
  }
  template <std::size_t kSize>
  bool Octets(std::array<unsigned char, kSize>& out) {
    if (left() < kSize) return false;
    std::copy_n(packet_.begin() + static_cast<std::ptrdiff_t>(position_), kSize, out.begin());
    position_ += kSize;
    return true;
  }
  bool Name(std::string& out);

 private:
  static void AppendLabel(absl::Span<const std::uint8_t> label, std::string& out);

  absl::Span<const std::uint8_t> packet_;
  std::size_t position_;
};

void Reader::AppendLabel(absl::Span<const std::uint8_t> label, std::string& out) {
  if (!out.empty()) out.push_back('.');
  for (const std::uint8_t octet : label) {
    if (absl::ascii_isalnum(octet) || octet == '-' || octet == '_') {
      out.push_back(absl::ascii_tolower(octet));
    } else {
      absl::StrAppendFormat(&out, "\\%03d", static_cast<int>(octet));
    }
  }
}

// RFC 1035 §4.1.4. A pointer must lead to before the run of labels that it ends: so it terminates.
bool Reader::Name(std::string& out) {
  out.clear();
  std::size_t at = position_;
  std::size_t run_start = position_;
  std::size_t octets = 0;
  bool jumped = false;
  while (at < packet_.size()) {
    const std::uint8_t length = packet_[at];
    if ((length & 0xC0) == 0xC0) {
      if (at + 1 >= packet_.size()) return false;
      const std::size_t target = static_cast<std::size_t>(length & 0x3F) << 8 | packet_[at + 1];
      if (target >= run_start) return false;
      if (!jumped) position_ = at + 2;
      jumped = true;
      at = run_start = target;
      continue;
    }
    if ((length & 0xC0) != 0) return false;  // 01 and 10 were never given a meaning that lived
    octets += std::size_t{length} + 1;
    if (octets > kMaxNameOctets) return false;
    if (length == 0) {
      if (!jumped) position_ = at + 1;
      return true;
    }
    if (length > packet_.size() - at - 1) return false;
    AppendLabel(packet_.subspan(at + 1, length), out);
    at += std::size_t{length} + 1;
  }
  return false;
}

struct Header {
  std::uint16_t flags = 0;
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  std::uint16_t authorities = 0;
  int rcode() const { return flags & 0xF; }
  bool response() const { return (flags & 0x8000) != 0; }
};

struct Record {
  std::string owner;
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
  absl::Duration ttl;
  std::size_t data_end = 0;
};

struct Owned {  // a record's data, with whose it is
  std::string owner;
  absl::Duration ttl;
  std::string name;  // the target of a CNAME or MX
  int preference = 0;
  asio::ip::address address;
};

struct Sections {
  std::vector<Owned> records;  // of the type that was asked for
  std::vector<Owned> cnames;
  absl::Duration negative_ttl = kNegativeTtl;
};

bool ReadHeader(Reader& reader, Header& header) {
  std::uint16_t additional = 0;
  return reader.Skip(2) && reader.U16(header.flags) && reader.U16(header.questions) &&
         reader.U16(header.answers) && reader.U16(header.authorities) && reader.U16(additional);
}

// Everything of a record before its data; afterwards the reader stands at the data.
bool ReadRecord(Reader& reader, Record& record) {
  std::uint32_t ttl = 0;
  std::uint16_t length = 0;
  if (!reader.Name(record.owner) || !reader.U16(record.type) || !reader.U16(record.klass) ||
      !reader.U32(ttl) || !reader.U16(length) || length > reader.left()) {
    return false;
  }
  // RFC 2181 §8: the highest bit set means zero.
  record.ttl = absl::Seconds((ttl & 0x80000000U) != 0 ? 0 : ttl);
  record.data_end = reader.position() + length;
  return true;
}

bool ReadAnswerData(Reader& reader, const Record& record, RecordType type, Sections& sections) {
  Owned owned;
  owned.owner = record.owner;
  owned.ttl = record.ttl;
  if (record.type == kTypeCname) {
    if (!reader.Name(owned.name)) return false;
    sections.cnames.push_back(std::move(owned));
    return reader.position() == record.data_end;
  }
  if (record.type != static_cast<std::uint16_t>(type)) {  // signatures and the like
    return reader.Skip(record.data_end - reader.position());
  }
  if (type == RecordType::kMx) {
    std::uint16_t preference = 0;
    if (!reader.U16(preference) || !reader.Name(owned.name)) return false;
    owned.preference = preference;
  } else if (type == RecordType::kA) {
    asio::ip::address_v4::bytes_type octets;
    if (!reader.Octets(octets)) return false;
    owned.address = asio::ip::address_v4(octets);
  } else {
    asio::ip::address_v6::bytes_type octets;
    if (!reader.Octets(octets)) return false;
    owned.address = asio::ip::address_v6(octets);
  }
  sections.records.push_back(std::move(owned));
  return reader.position() == record.data_end;
}

bool ReadAnswers(Reader& reader, int count, RecordType type, Sections& sections) {
  for (int i = 0; i < count; ++i) {
    Record record;
    if (!ReadRecord(reader, record)) return false;
    if (record.klass != kClassIn) {
      if (!reader.Skip(record.data_end - reader.position())) return false;
    } else if (!ReadAnswerData(reader, record, type, sections)) {
      return false;
    }
  }
  return true;
}

bool ReadAuthorities(Reader& reader, int count, Sections& sections) {
  for (int i = 0; i < count; ++i) {
    Record record;
    if (!ReadRecord(reader, record)) return false;
    if (record.type == kTypeSoa && record.klass == kClassIn) {
      std::string name;
      std::uint32_t minimum = 0;
      // MNAME, RNAME, then SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM.
      if (!reader.Name(name) || !reader.Name(name) || !reader.Skip(16) || !reader.U32(minimum)) {
        return false;
      }
      sections.negative_ttl = std::min(record.ttl, absl::Seconds(minimum));
    } else if (!reader.Skip(record.data_end - reader.position())) {
      return false;
    }
    if (reader.position() != record.data_end) return false;
  }
  return true;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed answer: ", what));
}

std::string RcodeName(int rcode) {
  switch (rcode) {
    case 1:
      return "FORMERR";
    case 2:
      return "SERVFAIL";
    case 4:
      return "NOTIMP";
    case 5:
      return "REFUSED";
    default:
      return absl::StrCat("RCODE ", rcode);
  }
}

// Follows the CNAMEs from `name` to the name that has the records.
absl::StatusOr<RecordSet> Follow(std::string name, RecordType type, const Sections& sections) {
  RecordSet set;
  set.ttl = absl::InfiniteDuration();
  for (int step = 0;; ++step) {
    const auto cname = std::find_if(sections.cnames.begin(), sections.cnames.end(),
                                    [&](const Owned& owned) { return owned.owner == name; });
    if (cname == sections.cnames.end()) break;
    if (step == kMaxChain) return Malformed("the CNAMEs do not end");
    set.ttl = std::min(set.ttl, cname->ttl);
    name = cname->name;
  }
  for (const Owned& owned : sections.records) {
    if (owned.owner != name) continue;
    set.status = RecordStatus::kRecords;
    set.ttl = std::min(set.ttl, owned.ttl);
    if (type == RecordType::kMx) {
      set.mx.push_back({owned.preference, owned.name});
    } else {
      set.addresses.push_back(owned.address);
    }
  }
  if (set.status != RecordStatus::kRecords) {
    set.status = RecordStatus::kNoData;
    set.ttl = std::min(set.ttl, sections.negative_ttl);
  }
  return set;
}

}  // namespace

absl::string_view RecordTypeName(RecordType type) {
  switch (type) {
    case RecordType::kA:
      return "A";
    case RecordType::kMx:
      return "MX";
    case RecordType::kAaaa:
      return "AAAA";
  }
  return "?";
}

absl::StatusOr<RecordSet> ParseAnswer(absl::Span<const std::uint8_t> packet, RecordType type) {
  Reader reader(packet, 0);
  Header header;
  if (!ReadHeader(reader, header) || !header.response()) return Malformed("header");
  if (header.rcode() != 0 && header.rcode() != kRcodeNoDomain) {
    return absl::UnavailableError(RcodeName(header.rcode()));
  }
  std::string name;
  std::uint16_t asked = 0, klass = 0;
  if (header.questions != 1 || !reader.Name(name) || !reader.U16(asked) || !reader.U16(klass) ||
      asked != static_cast<std::uint16_t>(type) || klass != kClassIn) {
    return Malformed("question");
  }
  Sections sections;
  if (!ReadAnswers(reader, header.answers, type, sections)) return Malformed("answer section");
  if (!ReadAuthorities(reader, header.authorities, sections)) return Malformed("authority section");
  if (header.rcode() == kRcodeNoDomain) {
    RecordSet set;
    set.status = RecordStatus::kNoDomain;
    set.ttl = sections.negative_ttl;
    return set;
  }
  return Follow(std::move(name), type, sections);
}

}  // namespace postern::dns
