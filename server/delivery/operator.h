// Operator: Operations over the schedulers. Owned by the dispatcher.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/mutex.h"
#include "server/delivery/context.h"
#include "server/delivery/messages.h"
#include "server/delivery/operations.h"
#include "server/delivery/scheduler.h"

namespace postern::delivery {

class Operator final : public Operations {
 public:
  using Schedulers = std::vector<std::unique_ptr<Scheduler>>;

  // Takes a row to the queue of its pair.
  using Enqueue = std::function<void(queue::RowPtr)>;

  // All must outlive it. REQUIRES for every call: the schedulers are started.
  Operator(Context& context, const Schedulers& schedulers, SpoolMessages& messages, Enqueue enqueue)
      : context_(context),
        schedulers_(schedulers),
        messages_(messages),
        enqueue_(std::move(enqueue)) {}

  absl::StatusOr<std::uint64_t> Suspend(mail::Hold hold) override;
  absl::StatusOr<Resumed> Resume(const mail::Scope& scope) override;
  std::vector<mail::Hold> Holds() override { return context_.holds.All(); }
  absl::StatusOr<std::uint64_t> Flush(const mail::Scope& scope,
                                      const base::Id& message_id) override;
  absl::StatusOr<std::uint64_t> Fail(const mail::Scope& scope, mail::Reply reply,
                                     bool dry_run) override;
  absl::StatusOr<std::uint64_t> Reroute(const mail::Scope& scope,
                                        const std::string& to_binding) override;
  // Files rows anew that another gateway, or none, is for now; rows whose recipients would part
  // stay where they are. Waits for the disk if there are any.
  void Refile();
  absl::Status ShutdownConnection(const base::Id& connection, const std::string& who,
                                  const std::string& reason, bool now) override;
  absl::StatusOr<MessageView> Cancel(const base::Id& message_id,
                                     const std::vector<std::string>& recipients,
                                     const std::string& reason) override;
  absl::StatusOr<MessageView> Resolve(const base::Id& message_id, const std::string& domain,
                                      Resolution resolution) override;

 private:
  absl::Status CheckBinding(const mail::Scope& scope);
  // Calls `each` for the pairs of the scope, on their threads. Returns how many there were.
  std::uint64_t ForEachPair(const mail::Scope& scope, const std::function<void(Pair&)>& each);
  // Walks over the rows of the scope's pairs (of one message, if `only` is not empty): calls `some`
  // until each pair's walk is over, with a turn of the loop in between, so that sessions go on
  // beside a large queue. Pairs that have no rows yet are left out. Returns the sum.
  std::uint64_t InTurns(const mail::Scope& scope, const base::Id& only,
                        const std::function<std::uint64_t(Pair&, queue::RowWalk&)>& some);
  // Calls `each` for the pair of every row of the message that is not final, on its thread.
  void ForEachRow(const MessageView& message,
                  const std::function<void(Pair&, const mail::Row&)>& each)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(rows_mu_);
  // When the spool has written what was changed: the message as it is then.
  absl::StatusOr<MessageView> Settled(const base::Id& message_id);
  absl::Status AwaitWritten();

  Context& context_;
  const Schedulers& schedulers_;
  SpoolMessages& messages_;
  const Enqueue enqueue_;
  // Held while rows are looked for by their pair, or are on their way to another, until their
  // records say so.
  base::Mutex rows_mu_;
};

}  // namespace postern::delivery
