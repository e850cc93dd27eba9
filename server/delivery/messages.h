// SpoolMessages: what is known about messages: the queues' rows, the finished ones and the pairs'
// troubles, seen as one. Thread: any.
#pragma once

#include <cstddef>
#include <map>

#include "server/delivery/context.h"
#include "server/delivery/control.h"

namespace postern::delivery {

class SpoolMessages final : public MessageSource {
 public:
  // What is looked at for one page, rows of the queues and entries of the history each: so many at
  // the most (a tenth of a second or so), and so many at a time, because the spool cannot recover
  // from an error meanwhile.
  struct Bounds {
    std::size_t most = 20'000;
    std::size_t piece = 2'000;
  };
  explicit SpoolMessages(Context& context) : SpoolMessages(context, Bounds()) {}
  SpoolMessages(Context& context, const Bounds& bounds) : context_(context), bounds_(bounds) {}

  absl::StatusOr<MessageView> Get(const base::Id& message_id, History history) override;
  absl::StatusOr<Page> List(const Query& query) override;

 private:
  // Adds a row of the spool as it is now.
  void AddRow(mail::Row row, MessageView& view) const;
  using Found = std::map<base::Id, MessageView>;
  // Both add up to `limit` messages that match, and answer the last message they looked at if that
  // was cut off.
  absl::StatusOr<base::Id> AddQueued(const Query& query, std::size_t limit, Found& found);
  absl::StatusOr<base::Id> AddFinished(const Query& query, std::size_t limit, Found& found);
  // A pair in back-off defers all its rows without writing to any: say so for this one.
  void AddTrouble(mail::Row& row) const;

  Context& context_;
  const Bounds bounds_;
};

}  // namespace postern::delivery
