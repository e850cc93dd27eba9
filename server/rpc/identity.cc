#include "server/rpc/identity.h"

#include "server/rpc/cq.h"

namespace postern::rpc {

absl::string_view AuthMethodName(AuthMethod method) {
  switch (method) {
    case AuthMethod::kUnix:
      return "unix";
    case AuthMethod::kLoopback:
      return "loopback";
    case AuthMethod::kPlaintext:
      return "plaintext";
    case AuthMethod::kTls:
      return "tls";
    case AuthMethod::kCertificate:
      return "certificate";
    case AuthMethod::kToken:
      return "token";
  }
  return "";
}

bool Usage::TakeVerdict() {
  base::MutexLock lock(mu_);
  return verdicts_.Take(Queue::Now());
}

void Usage::SetVerdictsPerSecond(int most) {
  base::MutexLock lock(mu_);
  verdicts_.Configure(most, most);
}

const std::string& Identity::submitter() const {
  static const std::string* const kNobody = new std::string();
  return name == kLocalIdentity ? *kNobody : name;
}

}  // namespace postern::rpc
