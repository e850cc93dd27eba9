// SpoolMessages: what is known about messages: the spool, the history and the pairs' troubles, seen
// as one. Thread: any.
#pragma once

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
  // A pair in back-off defers all its rows without writing to any: say so for this one.
  void AddTrouble(mail::Row& row) const;

  Context& context_;
};

}  // namespace postern::delivery
