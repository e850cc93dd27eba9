// OptionsResolver: the options of delivery by scope: global -> domain -> binding -> binding +
// domain; the most specific one that sets an option wins. Routes come from Config.routes.
//
// Pairs to which the same scopes apply share one snapshot, so the memory for snapshots is bounded
// by the configuration, whatever domains mail is submitted to. Thread: any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "postern/v1/config.pb.h"
#include "server/base/mutex.h"
#include "server/mail/options.h"

namespace postern::config {

class OptionsResolver final : public mail::OptionsSource {
 public:
  // REQUIRES: Check(config) is OK.
  explicit OptionsResolver(const postern::v1::Config& config, std::uint64_t generation = 1);
  ~OptionsResolver() override;

  // Puts another configuration in force. Snapshots that were handed out stay as they are.
  // REQUIRES: Check(config) is OK; `generation` is higher than that in force.
  void Replace(const postern::v1::Config& config, std::uint64_t generation);

  // `domain` in lower case, as in mail::PairKey; a binding "" is "default", and one that is not
  // configured has the options of the scopes without binding.
  std::shared_ptr<const mail::DeliveryOptions> ForPair(absl::string_view domain,
                                                       absl::string_view binding) const override;
  bool KnowsBinding(absl::string_view binding) const override;
  std::uint64_t generation() const override;

 private:
  class Scopes;  // one configuration, indexed

  std::shared_ptr<const Scopes> scopes() const;

  mutable base::Mutex mu_;
  std::shared_ptr<const Scopes> scopes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace postern::config
