// What the tests about scopes share: verdicts for them, given by a stream or by none.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/bridge/fixture.h"

namespace postern::bridge {

class ScopeTest : public BridgeTest {
 protected:
  static Verdict Scope(std::string domain, std::uint64_t revision = 1) {
    Verdict verdict;
    ScopeTarget target;
    target.domain = std::move(domain);
    target.revision = revision;
    verdict.target = std::move(target);
    verdict.decision = Decision::kShutdown;
    verdict.reason = "scope";
    return verdict;
  }
  static Verdict Recycle(std::string domain, std::uint64_t revision = 1) {
    Verdict verdict = Scope(std::move(domain), revision);
    std::get<ScopeTarget>(verdict.target).recycle = true;
    return verdict;
  }
  static Verdict AfterDeliveries(std::string domain, std::uint64_t n, std::uint64_t revision = 1) {
    Verdict verdict = Scope(std::move(domain), revision);
    std::get<ScopeTarget>(verdict.target).after_deliveries = n;
    return verdict;
  }
  static Verdict ForConnection(const FakeSession& session, Decision decision) {
    Verdict verdict;
    verdict.target = ConnectionTarget{session.info.id};
    verdict.decision = decision;
    return verdict;
  }

  // In one call; fails the test if it fails.
  std::vector<VerdictResult> PostAll(std::vector<Verdict> verdicts,
                                     const std::string& provider = "p") {
    for (std::size_t i = 0; i < verdicts.size(); ++i) verdicts[i].verdict_id = i + 1;
    const auto results = bridge->PostVerdicts(provider, "me", {}, std::move(verdicts));
    EXPECT_TRUE(results.ok()) << results.status();
    return results.value_or(std::vector<VerdictResult>());
  }
  VerdictResult Post(Verdict verdict, const std::string& provider = "p") {
    return PostAll({std::move(verdict)}, provider).at(0);
  }
  // In one frame.
  static std::vector<VerdictResult> SendAll(Client& client, std::vector<Verdict> verdicts) {
    for (Verdict& verdict : verdicts) verdict.verdict_id = client.next_id++;
    EXPECT_TRUE(client.session->Verdicts(std::move(verdicts)).ok());
    return client.Take().results;
  }

  ScopeTable::Kept Kept() {
    ScopeTable::Kept kept;
    const auto keep = [&](const auto& rules) {
      kept = rules;
      return absl::OkStatus();
    };
    EXPECT_TRUE(bridge->SaveScopes(keep).ok());
    return kept;
  }
};

}  // namespace postern::bridge
