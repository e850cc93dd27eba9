// `postern message` and `postern messages`: what became of submitted mail.
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/format.h"
#include "client/messages.h"
#include "client/terminal.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

int RunMessage(const Globals& globals, const std::string& id) {
  UnblockStopSignals();
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::GetMessageRequest request;
  request.set_message_id(id);
  v1::Message message;
  const grpc::Status status = stub->GetMessage(&context, request, &message);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(message) << std::endl;
  } else {
    PrintMessage(message);
  }
  return kOk;
}

int RunMessages(const Globals& globals, const MessagesOptions& options) {
  UnblockStopSignals();
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  v1::ListMessagesRequest request = BuildListMessages(options);
  std::vector<std::vector<std::string>> table = {
      {"MESSAGE", "QUEUE", "RECIPIENTS", "STATE", "ATTEMPTS", "NEXT", "REASON"}};
  int left = options.limit;
  do {
    request.set_page_size(std::min(left, kPageSize));
    grpc::ClientContext context;
    SetDeadline(context, globals);
    v1::ListMessagesResponse answer;
    const grpc::Status status = stub->ListMessages(&context, request, &answer);
    if (!status.ok()) return Report(status);
    for (const auto& message : answer.messages()) {
      if (globals.json) std::cout << ToJson(message) << "\n";
      for (const auto& row : message.rows()) {
        table.push_back(
            {message.message_id(), Printable(absl::StrCat(row.domain(), "/", row.binding().name())),
             absl::StrCat(row.recipients_size()), RowState(row), absl::StrCat(row.attempts()),
             FormatTime(row.next_attempt()), ShortName(row.reason())});
      }
    }
    left -= answer.messages_size();
    request.set_page_token(answer.next_page_token());
  } while (!request.page_token().empty() && left > 0);
  if (!globals.json) std::cout << FormatTable(table, HasColours(STDOUT_FILENO));
  std::cout << std::flush;
  return kOk;
}

}  // namespace

void PrintMessage(const v1::Message& message) {
  std::cout << message.message_id() << "  from <" << Printable(message.sender()) << ">, "
            << message.size_bytes() << " bytes, submitted " << FormatTime(message.submitted())
            << "\n";
  const bool colours = HasColours(STDOUT_FILENO);
  for (const auto& row : message.rows()) {
    std::cout << "  " << Printable(row.domain()) << "/" << Printable(row.binding().name()) << ": "
              << DescribeRow(row) << "\n";
    for (const auto& recipient : row.recipients()) {
      std::cout << "    " << Printable(recipient.address()) << "  "
                << PaintWord(ShortName(recipient.disposition()), colours) << "  "
                << FormatReply(recipient.last_reply()) << "\n";
    }
  }
  std::cout << std::flush;
}

std::string RowState(const v1::MessageRow& row) {
  if (row.recipients().empty()) return "-";
  const v1::Disposition first = row.recipients(0).disposition();
  const bool same =
      std::all_of(row.recipients().begin(), row.recipients().end(),
                  [first](const v1::RecipientState& one) { return one.disposition() == first; });
  return same ? ShortName(first) : "mixed";
}

std::string DescribeRow(const v1::MessageRow& row) {
  std::string text = absl::StrCat(row.attempts(), row.attempts() == 1 ? " attempt" : " attempts");
  if (row.in_session()) absl::StrAppend(&text, ", in a session now");
  if (row.in_doubt()) absl::StrAppend(&text, ", in doubt");
  if (row.reason() != v1::REQUEUE_REASON_UNSPECIFIED) {
    absl::StrAppend(&text, ", waits: ", ShortName(row.reason()));
  }
  if (row.has_next_attempt()) {
    absl::StrAppend(&text, ", next attempt ", FormatTime(row.next_attempt()));
  }
  return text;
}

v1::ListMessagesRequest BuildListMessages(const MessagesOptions& options) {
  v1::ListMessagesRequest request;
  request.set_domain(options.domain);
  request.set_binding(options.binding);
  for (int state : options.states) request.add_states(static_cast<v1::Disposition>(state));
  return request;
}

void AddMessages(CLI::App& app, Invocation& invocation) {
  auto id = std::make_shared<std::string>();
  CLI::App* message = app.add_subcommand("message", "Show one message: state per recipient");
  message->add_option("id", *id, "Message id, as submit printed it")->required();
  message->footer("Example:\n  postern message 0f3c5d0a9b8e4c7fa1d2e3f405162738");
  message->callback([&invocation, id] {
    invocation.run = [id](const Globals& globals) { return RunMessage(globals, *id); };
  });

  auto options = std::make_shared<MessagesOptions>();
  CLI::App* messages = app.add_subcommand("messages", "List messages, oldest first");
  messages->add_option("--domain", options->domain, "Only this receiving domain");
  messages->add_option("--binding", options->binding, "Only this binding");
  messages
      ->add_option("--state", options->states,
                   "Only rows in these states; repeat for more; default queued and deferred")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, int>{{"queued", v1::DISPOSITION_QUEUED},
                                     {"deferred", v1::DISPOSITION_DEFERRED},
                                     {"delivered", v1::DISPOSITION_DELIVERED},
                                     {"failed", v1::DISPOSITION_FAILED},
                                     {"expired", v1::DISPOSITION_EXPIRED},
                                     {"cancelled", v1::DISPOSITION_CANCELLED}},
          CLI::ignore_case));
  messages->add_option("--limit", options->limit, "At most so many messages")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  messages->footer(
      "Example:\n  postern messages --domain example.net --state deferred\n"
      "  postern messages --state delivered --json | jq -r .message_id");
  messages->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) { return RunMessages(globals, *options); };
  });
}

}  // namespace postern::client
