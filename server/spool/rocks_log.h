// RocksLog: RocksDB's messages in our log.
//
// It is also what keeps a full disk from ending the process: without a logger of ours RocksDB 7.8
// writes a LOG file of its own and aborts when that cannot be written.
#pragma once

#include <rocksdb/env.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace postern::spool {

// Warnings and worse go to base::Log, at most 20 lines in 10 s; the rest is dropped. Thread: any.
class RocksLog final : public rocksdb::Logger {
 public:
  RocksLog() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list args) override;
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list args) override;
  void LogHeader(const char*, va_list) override {}

  // How often RocksDB said that it left out a damaged part of its log.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  bool MayWrite();

  std::atomic<std::uint64_t> dropped_{0};
  base::Mutex mu_;
  absl::Time window_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  int lines_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace postern::spool
