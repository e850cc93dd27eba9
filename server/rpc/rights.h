// Rights: what an identity may do, as the configuration says (config.proto, `identities[].rights`).
//
// Pure values; who has which is access.h's. Thread: immutable, any.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/bridge/filter.h"
#include "server/mail/row.h"

namespace postern::rpc {

// What a method asks for.
enum class Right { kNone, kAny, kSubmit, kWatch, kDecide, kControl };

// "submit", as the configuration and the metrics spell it.
absl::string_view RightName(Right right);

// The right that a method ("Control.Suspend") asks for. kNone: open to whoever can connect
// (Health). kAny: an identity is enough (queries, which are narrowed to what it may see). A method
// that is not known asks for `control`.
Right RightFor(absl::string_view method);

struct SubmitRight {
  // Globs as in Filter, of the sender's domain; "<>" for the null sender, which "*" has too. None:
  // any sender.
  std::vector<std::string> sender_domains;
  std::vector<std::string> bindings;  // none: all
  std::vector<std::string> tenants;   // none: all
};

struct DecideRight {
  bridge::Filter filter;  // domains and bindings that it may be attached to; empty: all
  std::vector<std::string> providers;  // names, or prefixes that end in '*'; none: all
};

struct Rights {
  // Everything, for who passes the listener when no identities are configured.
  static Rights Everything();

  std::optional<SubmitRight> submit;
  std::optional<bridge::Filter> watch;
  std::optional<DecideRight> decide;
  bool control = false;
  bool all = false;  // queries about messages see those of every submitter

  bool Has(Right right) const;

  // Does ListProviders show it who watches and decides about what, and who threw which switch?
  bool SeesClients() const { return watch.has_value() || decide.has_value() || control; }

  // May the submission be made? Its tenant, when it names none, becomes the first that the right
  // lists. PERMISSION_DENIED naming what is not allowed ("submit: sender_domains: ...").
  absl::Status AllowSubmission(mail::Submission& submission) const;

  // Narrows the filter of a Watch or an Attach to what the right allows. PERMISSION_DENIED: nothing
  // is left of it, or the name of the provider is not allowed. RESOURCE_EXHAUSTED: it is over the
  // limits of a filter (bridge::CheckLimits). REQUIRES: Has(kWatch), Has(kDecide).
  absl::Status ClampWatch(bridge::Filter& filter) const;
  absl::Status ClampDecide(absl::string_view provider, bridge::Filter& filter) const;
};

// Both filters at once: pairs that match each of them. nullopt: there are none.
std::optional<bridge::Filter> Intersect(const bridge::Filter& a, const bridge::Filter& b);

}  // namespace postern::rpc
