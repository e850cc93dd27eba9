// submit_load: a client that submits over SubmitStream as fast as its window lets it.
//
//   submit_load --server 127.0.0.1:9090 --count 50000 --bytes 4096 --window 256 --frame 1 --domains
//   1
//
// Prints one line: messages, seconds, messages/s, refused, the client's own CPU per message.
// Exits 1 if a message was refused or the stream broke. Bounded by --count.
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

#include "postern/v1/delivery.grpc.pb.h"

namespace {

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string MakeContent(int bytes) {
  std::string content = "From: bench@sender.example\r\nSubject: load\r\n\r\n";
  while (static_cast<int>(content.size()) < bytes) {
    content += "The quick brown fox jumps over the lazy dog, again and again, to fill lines.\r\n";
  }
  return content;
}

// Submissions that were written and not answered; the writer waits while the window is full.
struct Window {
  std::mutex mu;
  std::condition_variable room;
  int open = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Submits messages over SubmitStream and prints the rate."};
  std::string server = "127.0.0.1:9090";
  int count = 50'000, bytes = 4096, window_size = 256, frame = 1, domains = 1;
  app.add_option("--server", server);
  app.add_option("--count", count);
  app.add_option("--bytes", bytes);
  app.add_option("--window", window_size);
  app.add_option("--frame", frame, "Submissions in one frame");
  app.add_option("--domains", domains);
  CLI11_PARSE(app, argc, argv);

  auto channel = grpc::CreateChannel(server, grpc::InsecureChannelCredentials());
  auto stub = postern::v1::Delivery::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->SubmitStream(&context);
  Window window;
  const double cpu_before = CpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  std::thread writer([&] {
    postern::v1::SubmitStreamRequest request;
    const std::string content = MakeContent(bytes);
    for (int sent = 0; sent < count;) {
      request.Clear();
      const int batch = std::min(frame, count - sent);
      {
        std::unique_lock<std::mutex> lock(window.mu);
        window.room.wait(lock, [&] { return window.open + batch <= window_size; });
        window.open += batch;
      }
      for (int i = 0; i < batch; ++i, ++sent) {
        auto* submission = request.add_submissions();
        submission->set_sender("bench@sender.example");
        submission->add_recipients("u" + std::to_string(sent) + "@d" +
                                   std::to_string(sent % domains) + ".example");
        submission->set_content(content);
      }
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
  });
  int accepted = 0, refused = 0;
  postern::v1::SubmitStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) {
      result.has_receipt() ? ++accepted : ++refused;
    }
    const std::lock_guard<std::mutex> lock(window.mu);
    window.open -= response.results_size();
    window.room.notify_one();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  writer.join();
  const grpc::Status status = stream->Finish();
  std::printf("accepted=%d refused=%d seconds=%.3f rate=%.0f/s client_cpu_us=%.1f\n", accepted,
              refused, took.count(), accepted / took.count(),
              (CpuSeconds() - cpu_before) / count * 1e6);
  if (!status.ok()) std::fprintf(stderr, "submit_load: %s\n", status.error_message().c_str());
  return status.ok() && accepted == count ? 0 : 1;
}
