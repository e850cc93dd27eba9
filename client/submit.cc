#include "client/submit.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command.h"
#include "client/format.h"
#include "postern/v1/delivery.grpc.pb.h"

namespace postern::client {
namespace {

constexpr std::size_t kFrameBytes = 256 << 10;
constexpr int kMaxCopiesPerFrame = 64;
// Refusals that are shown; the rest is only counted.
constexpr int kShownRefusals = 10;
constexpr std::chrono::milliseconds kProgressEvery{200};

std::optional<std::string> ReadContent(const std::string& file) {
  errno = 0;
  if (file == "-") {
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

// Counts results as they come, prints them with --json, keeps the user informed without.
class Tally {
 public:
  Tally(bool json, int wanted) : json_(json), wanted_(wanted), show_(!json && isatty(2) != 0) {}

  void Add(const v1::SubmitResult& result) {
    if (json_) std::cout << ToJson(result) << "\n";
    if (result.has_receipt()) {
      ++accepted_;
    } else if (++refused_ <= kShownRefusals) {
      Report(grpc::Status(static_cast<grpc::StatusCode>(result.error().code()),
                          result.error().message()));
    }
    const auto now = std::chrono::steady_clock::now();
    if (show_ && now - shown_ >= kProgressEvery) {
      shown_ = now;
      std::cerr << "\r" << accepted_ + refused_ << " of " << wanted_ << std::flush;
    }
  }

  // kOk when every submission was accepted.
  int Finish() {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
    if (show_) std::cerr << "\r";
    std::cout << std::flush;
    if (!json_) {
      std::cout << absl::StrFormat("%d accepted, %d refused in %.2fs (%.0f messages/s)", accepted_,
                                   refused_, took.count(), accepted_ / std::max(took.count(), 1e-6))
                << std::endl;
    }
    return accepted_ == wanted_ ? kOk : kFailed;
  }

 private:
  const bool json_;
  const int wanted_;
  const bool show_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = begun_;
  int accepted_ = 0;
  int refused_ = 0;
};

int SubmitMany(const Globals& globals, const v1::SubmitRequest& request, int count) {
  const auto stub = v1::Delivery::NewStub(Connect(globals));
  grpc::ClientContext context;
  SignalWatch stop([&context] { context.TryCancel(); });
  auto stream = stub->SubmitStream(&context);
  std::thread writer([&stream, &request, count] {
    v1::SubmitStreamRequest frame;
    const int per_frame = CopiesPerFrame(request.ByteSizeLong());
    for (int left = count; left > 0;) {
      const int copies = std::min(left, per_frame);
      while (frame.submissions_size() < copies) *frame.add_submissions() = request;
      if (frame.submissions_size() > copies) {
        frame.mutable_submissions()->DeleteSubrange(copies, frame.submissions_size() - copies);
      }
      if (!stream->Write(frame)) return;  // the stream is over: Finish() says why
      left -= copies;
    }
    stream->WritesDone();
  });
  Tally tally(globals.json, count);
  v1::SubmitStreamResponse answer;
  while (stream->Read(&answer)) {
    for (const auto& result : answer.results()) tally.Add(result);
  }
  writer.join();
  const grpc::Status status = stream->Finish();
  return std::max(tally.Finish(), Report(status));
}

int RunSubmit(const Globals& globals, const SubmitOptions& options) {
  // Standing in front of a terminal or a pipe that never ends must not outlast Ctrl-C.
  UnblockStopSignals();
  std::optional<std::string> content = ReadContent(options.file);
  BlockStopSignals();
  if (!content) return kFailed;
  v1::SubmitRequest request = BuildSubmit(options);
  request.set_content(*std::move(content));
  return options.count == 1 ? SubmitOne(globals, request)
                            : SubmitMany(globals, request, options.count);
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

int CopiesPerFrame(std::size_t bytes) {
  const std::size_t fitting = kFrameBytes / std::max<std::size_t>(bytes, 1);
  return static_cast<int>(std::clamp<std::size_t>(fitting, 1, kMaxCopiesPerFrame));
}

void AddSubmit(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = app.add_subcommand("submit", "Submit a message; returns when it is on disk");
  command->add_option("--from", options->from, "Envelope sender; without it the null sender <>");
  command->add_option("--to", options->to, "Envelope recipient; repeat for more")->required();
  command->add_option("--binding", options->binding, "Sending identity; default \"default\"");
  command->add_option("--expires", options->expires, "Give up after this time (30m, 4h, 2d)")
      ->check([](const std::string& text) {
        return ParseDuration(text) ? "" : "is not a duration such as 30m, 4h or 2d";
      });
  CLI::Option* token = command->add_option(
      "--token", options->token, "Submit once: the same token again gets the first receipt (24 h)");
  command->add_option("--count", options->count, "Submit so many copies over one stream")
      ->check(CLI::Range(1, 100'000'000))
      ->excludes(token);
  command->add_option("file", options->file, "The message (RFC 5322); - is standard input")
      ->capture_default_str();
  command->footer(
      "Prints the message id, \"duplicate\" if the token was known, and the queues "
      "(domain/binding,\n"
      "recipients).\n"
      "With --count: a summary; with --json one result per line.\n"
      "Examples:\n"
      "  postern submit --from a@example.com --to b@example.net letter.eml\n"
      "  postern submit --token invoice-4711 --from a@example.com --to b@example.net letter.eml\n"
      "  printf 'Subject: hi\\n\\nHello\\n' | postern submit --from a@example.com --to "
      "b@example.net --count 1000");
  command->callback([&invocation, options] {
    invocation.run = [options](const Globals& globals) { return RunSubmit(globals, *options); };
  });
}

}  // namespace postern::client
