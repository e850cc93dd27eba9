#include "client/submit.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "client/batch.h"
#include "client/bulk.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

std::optional<std::string> ReadContent(const std::string& file) {
  errno = 0;
  if (file.empty() || file == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  std::ifstream stream(file, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream.is_open() || stream.bad()) {
    std::cerr << "postern: cannot read " << file << ": " << std::strerror(errno) << std::endl;
    return std::nullopt;
  }
  return content;
}

void PrintReceipt(const v1::SubmitReceipt& receipt) {
  std::cout << receipt.message_id() << (receipt.duplicate() ? "  duplicate" : "");
  for (const auto& row : receipt.rows()) {
    std::cout << "  " << row.domain() << "/" << row.binding() << " (" << row.recipients() << ")";
  }
  std::cout << std::endl;
}

int SubmitOne(const Globals& globals, const v1::SubmitRequest& request) {
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  grpc::ClientContext context;
  SetDeadline(context, globals);
  v1::SubmitReceipt receipt;
  UnblockStopSignals();
  const grpc::Status status = stub->Submit(&context, request, &receipt);
  if (!status.ok()) return Report(status);
  if (globals.json) {
    std::cout << ToJson(receipt) << std::endl;
  } else {
    PrintReceipt(receipt);
  }
  return kOk;
}

// Reads the batch; Ctrl-C while it waits for input is seen by its source.
int SubmitBatch(const Globals& globals, const SubmitOptions& options, v1::SubmitRequest defaults) {
  const bool is_stdin = options.batch == "-";
  const int descriptor =
      is_stdin ? STDIN_FILENO : open(options.batch.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    std::cerr << "postern: cannot read " << options.batch << ": " << std::strerror(errno)
              << std::endl;
    return kFailed;
  }
  Batch batch(descriptor, std::move(defaults));
  const int result = SubmitBulk(globals, batch);
  if (!is_stdin) close(descriptor);
  return result;
}

int RunSubmit(const Globals& globals, const SubmitOptions& options) {
  v1::SubmitRequest request = BuildSubmit(options);
  if (options.batch.empty() || !options.file.empty()) {
    // Standing in front of a terminal or a pipe that never ends must not outlast Ctrl-C.
    UnblockStopSignals();
    std::optional<std::string> content = ReadContent(options.file);
    BlockStopSignals();
    if (!content) return kFailed;
    request.set_content(*std::move(content));
  }
  if (!options.batch.empty()) return SubmitBatch(globals, options, std::move(request));
  if (options.count == 1) return SubmitOne(globals, request);
  Copies copies(std::move(request), static_cast<std::uint64_t>(options.count));
  return SubmitBulk(globals, copies);
}

}  // namespace

v1::SubmitRequest BuildSubmit(const SubmitOptions& options) {
  v1::SubmitRequest request;
  request.set_sender(options.from);
  for (const auto& recipient : options.to) request.add_recipients(recipient);
  request.set_binding(options.binding);
  request.set_token(options.token);
  if (const auto expires = ParseDuration(options.expires); expires && !options.expires.empty()) {
    *request.mutable_message_expiration() = *expires;
  }
  return request;
}

void AddSubmit(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = app.add_subcommand("submit", "Submit a message; returns when it is on disk");
  command->add_option("--from", options->from, "Envelope sender; without it the null sender <>");
  CLI::Option* to = command->add_option("--to", options->to, "Envelope recipient; repeat for more");
  command->add_option("--binding", options->binding, "Sending identity; default \"default\"");
  command->add_option("--expires", options->expires, "Give up after this time (30m, 4h, 2d)")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "is not a duration such as 30m, 4h or 2d";
      });
  CLI::Option* token = command->add_option(
      "--token", options->token, "Submit once: the same token again gets the first receipt (24 h)");
  CLI::Option* count =
      command->add_option("--count", options->count, "Submit so many copies over one stream")
          ->check(CLI::Range(1, 100'000'000))
          ->excludes(token);
  command
      ->add_option("--batch", options->batch,
                   "Submit what the lines of this file say, over one stream; - is standard input")
      ->excludes(to)
      ->excludes(token)
      ->excludes(count);
  command->add_option("file", options->file, "The message (RFC 5322); - is standard input")
      ->default_str("-");
  command->footer(
      "Prints the message id, \"duplicate\" if the token was known, and the queues "
      "(domain/binding,\n"
      "recipients).\n"
      "With --count and --batch: a summary, and exit code 1 if any was refused; with --json one\n"
      "SubmitResult per line, in order.\n"
      "A line of a batch is a postern.v1.SubmitRequest as JSON, its content in base64. What it "
      "does\n"
      "not say comes from the options and the file: with letter.eml a line may be only "
      "recipients.\n"
      "Examples:\n"
      "  postern submit --from a@example.com --to b@example.net letter.eml\n"
      "  postern submit --token invoice-4711 --from a@example.com --to b@example.net letter.eml\n"
      "  printf 'Subject: hi\\n\\nHello\\n' | postern submit --from a@example.com --to "
      "b@example.net --count 1000\n"
      "  postern submit --from a@example.com --batch list.jsonl letter.eml\n"
      "    with lines such as {\"recipients\": [\"b@example.net\"], \"token\": \"may-4711\"}\n"
      "  jq -c '{recipients: [.to], content: (.text | @base64)}' mail.json | postern submit "
      "--batch -");
  command->callback([&invocation, options] {
    if (options->to.empty() && options->batch.empty()) {
      throw CLI::RequiredError("--to or --batch");
    }
    if (options->batch == "-" && options->file == "-") {
      throw CLI::ValidationError("--batch", "standard input cannot be the message as well");
    }
    invocation.run = [options](const Globals& globals) { return RunSubmit(globals, *options); };
  });
}

}  // namespace postern::client
