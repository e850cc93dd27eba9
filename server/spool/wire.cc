#include "server/spool/wire.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace postern::spool {

void PutVarint(std::string& out, std::uint64_t v) {
  while (v >= 0x80) {
    out.push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out.push_back(static_cast<char>(v));
}

void PutBytes(std::string& out, absl::string_view bytes) {
  PutVarint(out, bytes.size());
  out.append(bytes.data(), bytes.size());
}

void PutNumberField(std::string& out, std::uint64_t field, std::uint64_t v) {
  if (v == 0) return;
  PutVarint(out, field << 1);
  PutVarint(out, v);
}

void PutBytesField(std::string& out, std::uint64_t field, absl::string_view bytes) {
  if (bytes.empty()) return;
  PutVarint(out, field << 1 | 1);
  PutBytes(out, bytes);
}

void PutBigEndian(std::string& out, std::uint64_t v) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(v >> shift));
}

std::uint64_t BigEndian(absl::string_view bytes) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i) v = v << 8 | static_cast<unsigned char>(bytes[i]);
  return v;
}

std::string Frame(unsigned char version, absl::string_view body) {
  std::string value;
  value.reserve(body.size() + 6);
  value.push_back(static_cast<char>(version));
  PutBytes(value, body);
  return value;
}

absl::StatusOr<absl::string_view> Unframe(absl::string_view what, unsigned char version,
                                          absl::string_view value) {
  if (value.empty()) return absl::DataLossError(absl::StrCat(what, " is empty"));
  const auto written = static_cast<unsigned char>(value.front());
  if (written > version) {
    return absl::UnimplementedError(absl::StrCat(what, " has version ", static_cast<int>(written),
                                                 ", newer than this program"));
  }
  if (written != version) return absl::DataLossError(absl::StrCat(what, " has no version"));
  Reader frame(value.substr(1));
  const absl::string_view body = frame.Bytes();
  if (!frame.ok() || frame.left() != 0) {
    return absl::DataLossError(absl::StrCat(what, " does not have the length it says"));
  }
  return body;
}

std::uint64_t FromTime(absl::Time time) {
  // ToUnixMicros saturates: the infinite future is the largest number, the past the smallest.
  const std::int64_t micros = absl::ToUnixMicros(time);
  return (static_cast<std::uint64_t>(micros) << 1) ^ static_cast<std::uint64_t>(micros >> 63);
}

absl::Time ToTime(std::uint64_t zigzag) {
  const auto micros = static_cast<std::int64_t>((zigzag >> 1) ^ (~(zigzag & 1) + 1));
  if (micros == std::numeric_limits<std::int64_t>::max()) return absl::InfiniteFuture();
  if (micros == std::numeric_limits<std::int64_t>::min()) return absl::InfinitePast();
  return absl::FromUnixMicros(micros);
}

std::uint64_t Reader::Varint() {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (in_.empty()) break;
    const auto byte = static_cast<unsigned char>(in_.front());
    in_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    v |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return v;
  }
  return Fail();
}

absl::string_view Reader::Bytes() {
  const std::uint64_t size = Varint();
  return Raw(size);
}

absl::string_view Reader::Raw(std::uint64_t size) {
  if (!ok_ || size > in_.size()) {
    Fail();
    return {};
  }
  const absl::string_view bytes = in_.substr(0, static_cast<std::size_t>(size));
  in_.remove_prefix(bytes.size());
  return bytes;
}

}  // namespace postern::spool
