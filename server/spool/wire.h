// The parts that the spool's records are made of: numbers, bytes, times. FORMAT.md is the page.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace postern::spool {

void PutVarint(std::string& out, std::uint64_t v);
// Length and bytes.
void PutBytes(std::string& out, absl::string_view bytes);

// A field of kind 0 and of kind 1; nothing for the default.
void PutNumberField(std::string& out, std::uint64_t field, std::uint64_t v);
void PutBytesField(std::string& out, std::uint64_t field, absl::string_view bytes);
// Eight bytes, the highest first, so that keys sort by number.
void PutBigEndian(std::string& out, std::uint64_t v);
// REQUIRES: at least eight bytes.
std::uint64_t BigEndian(absl::string_view bytes);

// version (1), body length, body.
std::string Frame(unsigned char version, absl::string_view body);
// The body. UNIMPLEMENTED: a newer version wrote it. DATA_LOSS: anything else that is wrong with
// it. `what` begins the message ("a row's record").
absl::StatusOr<absl::string_view> Unframe(absl::string_view what, unsigned char version,
                                          absl::string_view value);

// Zigzag: small distances from zero, of either sign, stay short. Microseconds since 1970; the two
// extreme values are the infinite past and future.
std::uint64_t FromTime(absl::Time time);
absl::Time ToTime(std::uint64_t zigzag);

inline std::string Copy(absl::string_view bytes) { return std::string(bytes.data(), bytes.size()); }

// Takes parts off the front of a record; after the first that is not there, ok() stays false and
// everything reads as empty.
class Reader {
 public:
  explicit Reader(absl::string_view in) : in_(in) {}

  bool ok() const { return ok_; }
  bool done() const { return in_.empty() || !ok_; }
  std::size_t left() const { return in_.size(); }

  std::uint64_t Varint();
  absl::string_view Bytes();  // length and bytes
  // So many bytes, without a length.
  absl::string_view Raw(std::uint64_t size);

  // A varint no larger than `max`.
  template <typename T>
  T Number(T max = std::numeric_limits<T>::max()) {
    const std::uint64_t v = Varint();
    return static_cast<T>(v <= max ? v : Fail());
  }

 private:
  std::uint64_t Fail() {
    ok_ = false;
    in_ = {};
    return 0;
  }

  absl::string_view in_;
  bool ok_ = true;
};

}  // namespace postern::spool
