// `postern cancel` and `postern resolve`: a word of the operator about one message.
#include <iostream>
#include <map>

#include "client/command.h"
#include "client/format.h"
#include "client/messages.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

using DeliveryStub = v1::Delivery::Stub;

template <typename Request>
int Call(const Globals& globals,
         grpc::Status (DeliveryStub::*method)(grpc::ClientContext*, const Request&, v1::Message*),
         const Request& request) {
  UnblockStopSignals();
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::Message message;
  const grpc::Status status = (stub.get()->*method)(&context, request, &message);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(message) << std::endl;
  } else {
    PrintMessage(message);
  }
  return kOk;
}

}  // namespace

void AddSettle(CLI::App& app, Invocation& invocation) {
  struct Cancel {
    std::string id;
    std::vector<std::string> recipients;
    std::string reason;
  };
  auto cancel_options = std::make_shared<Cancel>();
  CLI::App* cancel = app.add_subcommand("cancel", "Withdraw a message that is not delivered yet");
  cancel->add_option("id", cancel_options->id, "Message id")->required();
  cancel->add_option("--recipient", cancel_options->recipients,
                     "Only this recipient; repeat for more");
  cancel->add_option("--reason", cancel_options->reason, "Kept with the disposition");
  cancel->footer(
      "Prints the message as it is then. What is in a session is withdrawn after its transaction,\n"
      "if the receiver has not taken it.\n"
      "Example:\n  postern cancel 0f3c5d0a9b8e4c7fa1d2e3f405162738 --reason 'sent by mistake'");
  cancel->callback([&invocation, cancel_options] {
    invocation.run = [cancel_options](const Globals& globals) {
      v1::CancelMessageRequest request;
      request.set_message_id(cancel_options->id);
      for (const std::string& one : cancel_options->recipients) request.add_recipients(one);
      request.set_reason(cancel_options->reason);
      return Call(globals, &DeliveryStub::CancelMessage, request);
    };
  });

  auto request = std::make_shared<v1::ResolveMessageRequest>();
  auto id = std::make_shared<std::string>();
  auto how = std::make_shared<int>(0);
  auto domain = std::make_shared<std::string>();
  CLI::App* resolve = app.add_subcommand("resolve", "Settle a message that is in doubt");
  resolve->add_option("id", *id, "Message id")->required();
  resolve->add_option("resolution", *how, "What is true of it: delivered, retry or fail")
      ->required()
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, int>{{"delivered", v1::IN_DOUBT_RESOLUTION_DELIVERED},
                                     {"retry", v1::IN_DOUBT_RESOLUTION_RETRY},
                                     {"fail", v1::IN_DOUBT_RESOLUTION_FAIL}},
          CLI::ignore_case));
  resolve->add_option("--domain", *domain, "Only the recipients of this domain");
  resolve->footer(
      "In doubt: the connection broke after the final dot, so the receiver may have the message.\n"
      "Example:\n  postern resolve 0f3c5d0a9b8e4c7fa1d2e3f405162738 delivered");
  resolve->callback([&invocation, request, id, how, domain] {
    request->set_message_id(*id);
    request->set_resolution(static_cast<v1::InDoubtResolution>(*how));
    request->set_domain(*domain);
    invocation.run = [request](const Globals& globals) {
      return Call(globals, &DeliveryStub::ResolveMessage, *request);
    };
  });
}

}  // namespace postern::client
