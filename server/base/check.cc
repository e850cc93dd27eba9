#include "server/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace postern::base {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "posternd: internal error: %s at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace postern::base
