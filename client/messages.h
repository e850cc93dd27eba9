// `postern message` and `postern messages`: arguments to request, rows to text.
#pragma once

#include <string>
#include <vector>

#include "postern/v1/delivery.pb.h"

namespace postern::client {

struct MessagesOptions {
  std::string domain;
  std::string binding;
  std::vector<int> states;  // numbers of v1::Disposition
  int limit = 1000;
};

v1::ListMessagesRequest BuildListMessages(const MessagesOptions& options);

// To standard output: a line for the message, one for each row and recipient.
void PrintMessage(const v1::Message& message);

// The disposition that all recipients share, or "mixed".
std::string RowState(const v1::MessageRow& row);

// "2 attempts, waits: transient_failure, next attempt 14:03:59.120".
std::string DescribeRow(const v1::MessageRow& row);

}  // namespace postern::client
