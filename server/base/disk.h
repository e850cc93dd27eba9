// Room on a file system.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace postern::base {

// Bytes that this process may still write where `path` is; nothing if the system does not tell.
// Thread: any.
std::optional<std::uint64_t> FreeBytes(const std::string& path);

}  // namespace postern::base
