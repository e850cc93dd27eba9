#include "server/spool/expiry.h"

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/spool/outcome_codec.h"
#include "server/spool/reading.h"
#include "server/spool/tokens.h"

namespace postern::spool {
namespace {

class HistoryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit HistoryFilter(std::shared_ptr<Expiry> expiry) : expiry_(std::move(expiry)) {}
  const char* Name() const override { return "postern.history"; }
  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice&, std::string*,
              bool*) const override {
    return key.size() == kHistoryKeyBytes &&
           HistorySequence(ToView(key)) < expiry_->outcome_floor.load(std::memory_order_relaxed);
  }

 private:
  const std::shared_ptr<Expiry> expiry_;
};

class TokenFilter final : public rocksdb::CompactionFilter {
 public:
  explicit TokenFilter(std::shared_ptr<Expiry> expiry) : expiry_(std::move(expiry)) {}
  const char* Name() const override { return "postern.tokens"; }
  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice& value, std::string*,
              bool*) const override {
    return TokenTime(ToView(value)) + expiry_->token_ttl <= absl::Now();
  }

 private:
  const std::shared_ptr<Expiry> expiry_;
};

}  // namespace

std::unique_ptr<rocksdb::CompactionFilter> MakeHistoryFilter(std::shared_ptr<Expiry> expiry) {
  return std::make_unique<HistoryFilter>(std::move(expiry));
}

std::unique_ptr<rocksdb::CompactionFilter> MakeTokenFilter(std::shared_ptr<Expiry> expiry) {
  return std::make_unique<TokenFilter>(std::move(expiry));
}

}  // namespace postern::spool
