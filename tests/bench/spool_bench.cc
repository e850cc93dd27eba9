// spool_bench: how many messages a second the spool takes, each acknowledged after its sync, and
// what one costs.
//
//   spool_bench [directory] [messages] [in flight] [content bytes]
//
// Prints, for stores alone and for a message's whole life (store, mark, and then: its outcome and
// its removal in one, or its removal alone): messages per second, processor time per message,
// messages per sync.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/spool/rocks_spool.h"

namespace postern {
namespace {

constexpr std::ptrdiff_t kMostInFlight = 1 << 16;

struct Setup {
  std::string directory;
  int messages;
  int in_flight;
  std::size_t content_bytes;
};

absl::Duration ProcessorTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

mail::Row MakeRow(const base::Id& id, const std::shared_ptr<const mail::PairKey>& pair) {
  mail::Row row;
  row.message_id = id;
  row.pair = pair;
  row.sender = "sender@example.org";
  row.recipients.push_back({"recipient@example.com", mail::Disposition::kQueued, nullptr});
  row.created = row.next_attempt = absl::Now();
  row.expires = row.created + absl::Hours(120);
  return row;
}

enum class Life { kStore, kRemove, kOutcome };

void Run(const char* name, const Setup& setup, Life life) {
  auto opened = spool::RocksSpool::Open({.directory = setup.directory});
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
    std::exit(1);
  }
  const std::unique_ptr<spool::RocksSpool> spool = *std::move(opened);
  const auto pair = std::make_shared<const mail::PairKey>(mail::PairKey{"example.com", "default"});
  const std::string content(setup.content_bytes, 'x');
  std::counting_semaphore<kMostInFlight> room(setup.in_flight);
  std::vector<mail::Row> rows(1);
  std::vector<mail::Row> stored;
  stored.reserve(static_cast<std::size_t>(setup.messages));

  const auto reply = std::make_shared<const mail::Reply>(
      mail::Reply{250, "2.0.0", "Ok: queued as 4F8C2240B1", mail::SmtpStage::kBody});
  mail::ConnectionInfo connection;
  connection.id = base::NewId(absl::Now());
  connection.mx_host = "mx.example.com";
  connection.remote_address = "192.0.2.1:25";
  connection.local_address = "192.0.2.2:40000";

  const absl::Time start = absl::Now();
  const absl::Duration processor = ProcessorTime();
  for (int i = 0; i < setup.messages; ++i) {
    room.acquire();
    rows[0] = MakeRow(base::NewId(absl::Now()), pair);
    spool->Store(content, rows, [&room](absl::Status status) {
      if (!status.ok()) std::abort();
      room.release();
    });
    if (life == Life::kStore) continue;
    stored.push_back(rows[0]);
    // The message stored as long ago as there are messages in flight is delivered now.
    if (i >= setup.in_flight) {
      mail::Row& delivered = stored[static_cast<std::size_t>(i - setup.in_flight)];
      spool->MarkAttempt(delivered, {});
      if (life == Life::kRemove) {
        spool->Remove(delivered.message_id, 1);
        continue;
      }
      mail::Recipient& recipient = delivered.recipients.front();
      recipient.disposition = mail::Disposition::kDelivered;
      recipient.unreported = true;
      recipient.last_reply = reply;
      spool->Finish(delivered, {&connection, absl::Milliseconds(3)});
    }
  }
  for (int i = 0; i < setup.in_flight; ++i) room.acquire();
  const absl::Duration took = absl::Now() - start;
  const absl::Duration used = ProcessorTime() - processor;
  const double messages = setup.messages;
  std::printf("%-10s %9.0f messages/s  %6.1f us CPU/message  %6.1f messages/sync\n", name,
              messages / absl::ToDoubleSeconds(took), absl::ToDoubleMicroseconds(used) / messages,
              messages / static_cast<double>(spool->counts().syncs));
}

// A start: every row of the spool is read.
void Scan(const Setup& setup) {
  const absl::Time start = absl::Now();
  auto opened = spool::RocksSpool::Open({.directory = setup.directory});
  if (!opened.ok()) std::exit(1);
  const absl::Time open = absl::Now();
  int rows = 0;
  const absl::Status status = (*opened)->ForEachRow(base::Id{}, [&rows](mail::Row) {
    ++rows;
    return true;
  });
  if (!status.ok()) std::exit(1);
  std::printf("%-10s opened in %.2f s, %d rows read in %.2f s\n", "start",
              absl::ToDoubleSeconds(open - start), rows, absl::ToDoubleSeconds(absl::Now() - open));
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) {
  const std::string directory =
      argc > 1 ? argv[1]
               : (std::filesystem::temp_directory_path() / "postern-spool-bench").string();
  postern::Setup setup{directory, argc > 2 ? std::atoi(argv[2]) : 100000,
                       argc > 3 ? std::atoi(argv[3]) : 256,
                       argc > 4 ? static_cast<std::size_t>(std::atol(argv[4])) : 4096};
  std::printf("%d messages of %zu bytes, %d in flight, in %s\n", setup.messages,
              setup.content_bytes, setup.in_flight, directory.c_str());
  setup.directory = directory + "/remove";
  postern::Run("remove", setup, postern::Life::kRemove);
  setup.directory = directory + "/outcome";
  postern::Run("outcome", setup, postern::Life::kOutcome);
  setup.directory = directory + "/store";
  postern::Run("store", setup, postern::Life::kStore);
  postern::Scan(setup);
  std::filesystem::remove_all(directory + "/remove");
  std::filesystem::remove_all(directory + "/outcome");
  std::filesystem::remove_all(directory + "/store");
  return 0;
}
