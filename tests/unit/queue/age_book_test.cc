#include "server/queue/age_book.h"

#include <gtest/gtest.h>

namespace postern::queue {
namespace {

constexpr absl::Time kBegin = absl::FromUnixSeconds(1'000'000);

TEST(AgeBook, KnowsTheOldestRowOfEachBinding) {
  AgeBook book;
  EXPECT_EQ(book.oldest(0), absl::InfiniteFuture());
  book.Add(0, kBegin + absl::Seconds(25));
  book.Add(0, kBegin);
  book.Add(2, kBegin + absl::Minutes(5));
  EXPECT_EQ(book.slots(), 3);
  EXPECT_EQ(book.rows(0), 2u);
  EXPECT_EQ(book.rows(1), 0u);
  EXPECT_EQ(book.oldest(0), kBegin);
  EXPECT_EQ(book.oldest(1), absl::InfiniteFuture());
  EXPECT_EQ(book.oldest(2), kBegin + absl::Minutes(5));
  book.Remove(0, kBegin);
  EXPECT_EQ(book.rows(0), 1u);
  EXPECT_EQ(book.oldest(0), kBegin + absl::Seconds(20));  // of its grain
  book.Remove(0, kBegin + absl::Seconds(25));
  EXPECT_EQ(book.oldest(0), absl::InfiniteFuture());
}

TEST(AgeBook, CountsRowsOfOneGrainTogether) {
  AgeBook book;
  for (int i = 0; i < 10; ++i) book.Add(0, kBegin + absl::Seconds(i));
  for (int i = 0; i < 9; ++i) book.Remove(0, kBegin + absl::Seconds(i));
  EXPECT_EQ(book.rows(0), 1u);
  EXPECT_EQ(book.oldest(0), kBegin);
}

TEST(AgeBook, RemovingWhatIsNotThereDoesNothing) {
  AgeBook book;
  book.Remove(3, kBegin);
  book.Add(0, kBegin);
  book.Remove(0, kBegin + absl::Hours(1));
  EXPECT_EQ(book.rows(0), 1u);
  EXPECT_EQ(book.oldest(0), kBegin);
}

}  // namespace
}  // namespace postern::queue
