// What is made of the configuration for gRPC.
#include <gmock/gmock.h>

#include "server/bridge/policy.h"
#include "server/wiring_access.h"
#include "tests/unit/rpc/fixture.h"

namespace postern {
namespace {

using ::testing::ElementsAre;

TEST(Wiring, GlobsOfRightsAreInTheFormOfQueues) {
  v1::Config config;
  v1::Identity* identity = config.add_identities();
  identity->set_name("client");
  identity->add_local(v1::LOCAL_PEER_UNIX);
  v1::Rights* rights = identity->mutable_rights();
  for (const char* glob : {"Example.COM.", "<>", "*.Example.net."}) {
    rights->mutable_submit()->add_sender_domains(glob);
  }
  rights->mutable_watch()->add_domains("*.Example.net.");
  rights->mutable_decide()->add_domains("Example.org.");
  v1::PolicyProviderRule* provider = config.mutable_policy()->add_providers();
  provider->set_name("p");
  provider->mutable_allow()->add_domains("Example.org.");
  const auto options = MakeAccessOptions(config, "f");
  ASSERT_TRUE(options.ok()) << options.status();
  const rpc::Rights& made = options->identities[0].rights;
  EXPECT_THAT(made.submit->sender_domains, ElementsAre("example.com", "<>", "*.example.net"));
  EXPECT_THAT(made.watch->domains, ElementsAre("*.example.net"));
  EXPECT_THAT(made.decide->filter.domains, ElementsAre("example.org"));
  EXPECT_THAT(options->providers[0].allow.domains, ElementsAre("example.org"));
  mail::Submission submission;
  submission.sender = "a@example.com";
  EXPECT_TRUE(made.AllowSubmission(submission).ok());
  submission.sender = "a@b.example.net";
  EXPECT_TRUE(made.AllowSubmission(submission).ok());
}

TEST(Wiring, RulesForDomainsHoldHoweverTheDomainIsWritten) {
  v1::Policy policy;
  for (const char* domain : {"Example.com.", "*.Example.NET."}) {
    v1::PolicyDomainRule* rule = policy.add_domains();
    rule->set_domain(domain);
    rule->set_default_verdict(v1::DEFAULT_VERDICT_SHUTDOWN);
  }
  const bridge::PolicyOptions options = MakePolicyOptions(policy, 7);
  EXPECT_EQ(options.config_generation, 7U);
  const bridge::DefaultTable table(options);
  for (const char* domain : {"example.com", "a.example.net"}) {
    EXPECT_EQ(table.For(domain, "p", std::nullopt, bridge::DefaultCause::kTimeout),
              bridge::DefaultVerdict::kShutdown)
        << domain;
  }
  EXPECT_EQ(table.For("example.net", "p", std::nullopt, bridge::DefaultCause::kTimeout),
            bridge::DefaultVerdict::kKeep);
}

}  // namespace
}  // namespace postern
