// HostTableTest: a table with limits of 2 a host and 100 in all, and a clock that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/delivery/host_table.h"

namespace postern::delivery {

using Grant = HostTable::Grant;

inline const char* const kHost = "192.0.2.1:25";
inline const char* const kOther = "192.0.2.2:25";

class HostTableTest : public ::testing::Test {
 protected:
  HostTable::Answer Ask(absl::string_view host = kHost, absl::string_view source = "") {
    return table_.Acquire(source, host, limits_, now_);
  }
  // One attempt that ends as `outcome`.
  void Attempt(HostOutcome outcome, absl::string_view host = kHost, absl::string_view source = "") {
    const HostTable::Answer answer = Ask(host, source);
    ASSERT_EQ(answer.grant, Grant::kGranted);
    answer.permit->Report(outcome, now_);
  }
  void FailUntilSkipped(absl::string_view source = "") {
    for (int i = 0; i < HostTable::kFailures; ++i) Attempt(HostOutcome::kNoRoute, kHost, source);
  }
  std::shared_ptr<HostWaiter> Counter(int& count) {
    return std::make_shared<HostWaiter>([&count] { ++count; });
  }

  absl::Time now_ = absl::UnixEpoch();
  HostTable::Limits limits_{2, 100, absl::Seconds(120)};
  HostTable table_;
};

}  // namespace postern::delivery
