#include "server/hooks/module_loader.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "server/hooks/records.h"
#include "tests/unit/hooks/fixture.h"

namespace postern::hooks {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ModuleLoaderTest : public HooksTest {
 protected:
  ~ModuleLoaderTest() override { std::remove(file_.c_str()); }

  static ModuleSpec TestModule(const std::string& variant) {
    ModuleSpec spec;
    spec.name = "m";
    spec.path = absl::StrCat(TEST_MODULE_DIR, "/libtest_module_", variant, ".so");
    spec.config_where = "postern.yaml:7: modules[0]";
    return spec;
  }
  static ModuleSpec Example(const std::string& name) {
    ModuleSpec spec;
    spec.name = name;
    spec.path = absl::StrCat(EXAMPLE_MODULE_DIR, "/lib", name, ".so");
    return spec;
  }
  static absl::Status Load(const ModuleSpec& spec) { return LoadModules({&spec, 1}); }
  // The message of the failure to load `variant`, which must be of the documented form.
  static std::string LoadError(const std::string& variant) {
    const ModuleSpec spec = TestModule(variant);
    const absl::Status status = Load(spec);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(
        std::string(status.message()),
        HasSubstr(absl::StrCat("postern.yaml:7: modules[0]: module \"m\" (", spec.path, "): ")));
    return std::string(status.message());
  }
  std::string ReadFile() const {
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  const std::string file_ = absl::StrCat(testing::TempDir(), "unit_hooks.", getpid(), ".txt");
};

TEST_F(ModuleLoaderTest, RefusesAnUnreadableFile) {
  EXPECT_THAT(LoadError("that_does_not_exist"), HasSubstr("No such file"));
}

TEST_F(ModuleLoaderTest, RefusesAFileThatIsNoSharedObject) {
  std::ofstream(file_) << "text";
  ModuleSpec spec = TestModule("x");
  spec.path = file_;
  EXPECT_THAT(std::string(Load(spec).message()), AllOf(HasSubstr(file_), HasSubstr("too short")));
}

TEST_F(ModuleLoaderTest, RefusesAMissingSymbol) {
  EXPECT_THAT(LoadError("no_symbol"), HasSubstr("does not export the symbol postern_module"));
}

TEST_F(ModuleLoaderTest, RefusesAnotherAbiVersion) {
  EXPECT_THAT(LoadError("wrong_abi"), HasSubstr("is built for ABI version 2, this is version 1"));
}

TEST_F(ModuleLoaderTest, RefusesAModuleWithoutConfSetup) {
  EXPECT_THAT(LoadError("incomplete"), HasSubstr("lacks name, version or conf_setup"));
}

TEST_F(ModuleLoaderTest, RefusesAModuleThatNeedsAnUnknownSymbol) {
  EXPECT_THAT(LoadError("undefined_symbol"), HasSubstr("no_such_symbol_in_the_daemon"));
}

TEST_F(ModuleLoaderTest, RefusesAFailingConfSetupWithItsReason) {
  EXPECT_THAT(LoadError("conf_setup_fails"),
              HasSubstr("conf_setup failed: the option colour is required"));
}

TEST_F(ModuleLoaderTest, RefusesAFailingConfSetupThatGivesNoReason) {
  EXPECT_THAT(LoadError("conf_setup_fails_silently"),
              HasSubstr("conf_setup failed and gave no reason"));
}

TEST_F(ModuleLoaderTest, RefusesANameOrAModuleTwice) {
  ModuleSpec spec = Example("end_session");
  spec.options = {{"deliveries", "3"}};
  ASSERT_TRUE(Load(spec).ok());
  EXPECT_THAT(LoadError("conf_setup_fails"), HasSubstr("colour"));
  ModuleSpec again = spec;
  again.name = "again";
  EXPECT_THAT(std::string(Load(again).message()),
              HasSubstr("is loaded already, as \"end_session\""));
  ModuleSpec namesake = TestModule("registers_late");
  namesake.name = "end_session";
  EXPECT_THAT(std::string(Load(namesake).message()),
              HasSubstr("there is a provider \"end_session\" already"));
}

TEST_F(ModuleLoaderTest, StopsAtTheFirstModuleThatFails) {
  std::vector<ModuleSpec> specs = {TestModule("wrong_abi"), Example("end_session")};
  specs[1].options = {{"deliveries", "3"}};
  EXPECT_FALSE(LoadModules(specs).ok());
  EXPECT_EQ(has_core_smtp_should_session_shutdown_hook(), 0);
}

TEST_F(ModuleLoaderTest, RefusesToStartWhenExtInitFails) {
  ASSERT_TRUE(Load(TestModule("ext_init_fails")).ok());
  FreezeHooks();
  EXPECT_EQ(std::string(RunExtInit().message()), "module \"m\": ext_init failed: the moon is full");
}

TEST_F(ModuleLoaderTest, RefusesRegistrationInExtInitAndGoesOn) {
  ASSERT_TRUE(Load(TestModule("registers_late")).ok());
  FreezeHooks();
  EXPECT_TRUE(RunExtInit().ok());
  EXPECT_EQ(has_core_smtp_should_session_shutdown_hook(), 0);
  EXPECT_THAT(log(), HasSubstr("registration for smtp_should_session_shutdown refused"));
}

TEST_F(ModuleLoaderTest, CallsModulesInOrderAndShutsThemDownInReverse) {
  std::vector<ModuleSpec> specs = {TestModule("journal_b"), TestModule("journal_a")};
  for (ModuleSpec& spec : specs) {
    spec.name = "";  // their own
    spec.options = {{"colour", "blue"}, {"journal", file_}};
  }
  ASSERT_TRUE(LoadModules(specs).ok());
  FreezeHooks();
  ASSERT_TRUE(RunExtInit().ok());
  timeval now{};
  DomainRecord domain;
  call_core_post_initiate_connection_smtp_hook(&domain, 0, &now, 3);
  ShutdownModules();
  ShutdownModules();
  EXPECT_EQ(ReadFile(),
            "journal_b conf_setup\njournal_a conf_setup\n"
            "journal_b ext_init\njournal_a ext_init\n"
            "journal_b observe\njournal_a observe\n"
            "journal_a shutdown\njournal_b shutdown\n");
  EXPECT_EQ(ListProviders()[0].provider, "journal_b");
}

TEST_F(ModuleLoaderTest, ExampleLogConnectionsWritesEachAttemptAndItsOutcome) {
  ModuleSpec spec = Example("log_connections");
  spec.options = {{"file", file_}};
  ASSERT_TRUE(Load(spec).ok());
  FreezeHooks();
  ASSERT_TRUE(RunExtInit().ok());
  ec_message head{};
  head.id = "018bcfe568000000000000000000cafe";
  head._rcptto = "a@example.com";
  DomainRecord domain;
  domain.domain = "example.com";
  timeval now{1'700'000'000, 42};
  call_core_post_initiate_connection_smtp_hook(&domain, 0, &now, CONN_ERR_CONNECT_TIMEOUT);
  domain.probable_message = &head;
  call_core_post_initiate_connection_smtp_hook(&domain, 0, &now, 17);
  ShutdownModules();
  EXPECT_EQ(ReadFile(),
            "1700000000.000042 example.com slot=0 connect timed out fd=-12 probably=none for <>\n"
            "1700000000.000042 example.com slot=0 connected fd=17 "
            "probably=018bcfe568000000000000000000cafe for <a@example.com>\n"
            "ended\n");
}

TEST_F(ModuleLoaderTest, ExampleLogConnectionsNamesAFileThatCannotBeOpened) {
  ModuleSpec spec = Example("log_connections");
  spec.options = {{"file", "/nonexistent/connections.log"}};
  EXPECT_THAT(std::string(Load(spec).message()), HasSubstr("option file: cannot be opened"));
}

TEST_F(ModuleLoaderTest, ExampleEndSessionEndsSessionsOfItsDomainAfterSoManyDeliveries) {
  ModuleSpec spec = Example("end_session");
  spec.options = {{"deliveries", "2"}, {"domain", "Example.com"}, {"hold", "5"}};
  ASSERT_TRUE(Load(spec).ok());
  DomainRecord domain;
  domain.domain = "example.com";
  connection conn{};
  conn.domain = &domain;
  connection_handle handle{&conn, 0};
  DeliveryConstruct construct;
  construct.conn_handle = &handle;
  conn.deliveries = 1;
  EXPECT_EQ(call_core_smtp_should_session_shutdown_hook(&construct), 0);
  EXPECT_EQ(construct.hold, absl::ZeroDuration());
  conn.deliveries = 2;
  EXPECT_NE(call_core_smtp_should_session_shutdown_hook(&construct), 0);
  EXPECT_EQ(construct.hold, absl::Seconds(5));
  domain.domain = "example.net";
  EXPECT_EQ(call_core_smtp_should_session_shutdown_hook(&construct), 0);
}

TEST_F(ModuleLoaderTest, ExampleEndSessionRefusesBadOptions) {
  ModuleSpec spec = Example("end_session");
  EXPECT_THAT(std::string(Load(spec).message()), HasSubstr("option deliveries"));
  ResetHooksForTest();
  spec.options = {{"deliveries", "12x"}};
  EXPECT_THAT(std::string(Load(spec).message()), HasSubstr("option deliveries"));
  ResetHooksForTest();
  spec.options = {{"deliveries", "1"}, {"hold", "-1"}};
  EXPECT_THAT(std::string(Load(spec).message()), HasSubstr("option hold"));
}

}  // namespace
}  // namespace postern::hooks
