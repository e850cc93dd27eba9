// HooksTest: empty chains before and after each test, and the log as a string.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "server/base/log.h"
#include "server/hooks/registry.h"

namespace postern::hooks {

class HooksTest : public ::testing::Test {
 protected:
  HooksTest() {
    ResetHooksForTest();
    base::Log().sinks().push_back(sink_);
  }
  ~HooksTest() override {
    base::Log().sinks().pop_back();
    ResetHooksForTest();
  }

  // Registers as the module `name` would in its conf_setup.
  static void RegisterNative(absl::string_view name, absl::FunctionRef<void()> registration) {
    const absl::StatusOr<Provider*> provider = AddProvider(name, ProviderKind::kNative, nullptr);
    ASSERT_TRUE(provider.ok()) << provider.status().ToString();
    const RegistrationScope scope(*provider);
    registration();
  }

  std::string log() const { return log_.str(); }

 private:
  std::ostringstream log_;
  std::shared_ptr<spdlog::sinks::ostream_sink_mt> sink_ =
      std::make_shared<spdlog::sinks::ostream_sink_mt>(log_, /*force_flush=*/true);
};

}  // namespace postern::hooks
