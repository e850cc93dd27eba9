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
  explicit SpoolMessages(Context& context) : context_(context) {}

  absl::StatusOr<MessageView> Get(const base::Id& message_id) override;
  absl::StatusOr<Page> List(const Query& query) override;

 private:
  // Adds a row of the spool as it is now.
  void AddRow(mail::Row row, MessageView& view) const;
  using Found = std::map<base::Id, MessageView>;
  // Both add up to `limit` messages that match. AddFinished: the last message it looked at, if that
  // was cut off.
  absl::Status AddQueued(const Query& query, std::size_t limit, Found& found);
  absl::StatusOr<base::Id> AddFinished(const Query& query, std::size_t limit, Found& found);
  // A pair in back-off defers all its rows without writing to any: say so for this one.
  void AddTrouble(mail::Row& row) const;

  Context& context_;
};

}  // namespace postern::delivery
