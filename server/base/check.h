// POSTERN_CHECK: for what only we can break; never for what a peer, a client, the disk or a
// configuration can do. Logs the condition with its place and aborts.
#pragma once

namespace postern::base {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}  // namespace postern::base

#define POSTERN_CHECK(condition)      \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::postern::base::CheckFailed(#condition, __FILE__, __LINE__))
