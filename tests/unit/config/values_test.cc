#include "server/config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "postern/v1/config.pb.h"
#include "postern/v1/types.pb.h"

namespace postern::config {
namespace {

using ::testing::HasSubstr;

TEST(Duration, ReadsEveryUnitAndTheirSums) {
  EXPECT_EQ(ParseDuration("300ms").value(), absl::Milliseconds(300));
  EXPECT_EQ(ParseDuration("30s").value(), absl::Seconds(30));
  EXPECT_EQ(ParseDuration("5m").value(), absl::Minutes(5));
  EXPECT_EQ(ParseDuration("4h").value(), absl::Hours(4));
  EXPECT_EQ(ParseDuration("5d").value(), absl::Hours(120));
  EXPECT_EQ(ParseDuration("1h30m").value(), absl::Minutes(90));
  EXPECT_EQ(ParseDuration("1d2h3m4s5ms").value(),
            absl::Hours(26) + absl::Minutes(3) + absl::Milliseconds(4005));
}

TEST(Duration, TakesAPlainZeroAndNoOtherPlainNumber) {
  EXPECT_EQ(ParseDuration("0").value(), absl::ZeroDuration());
  EXPECT_EQ(ParseDuration("0s").value(), absl::ZeroDuration());
  EXPECT_THAT(ParseDuration("30").status().ToString(), HasSubstr("has no unit: write 30s, 30m"));
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text : {"", "soon", "-5s", "+5s", "5 s", "5s ", "1.5h", "30m1h", "5m5m", "5x",
                           "s", "5ss", "inf", "1e3s", "99999999999999999999d"}) {
    EXPECT_EQ(ParseDuration(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Duration, IsWrittenAsItIsRead) {
  for (const char* text : {"0s", "1ms", "5d", "1h30m", "1d2h3m4s5ms"}) {
    EXPECT_EQ(DurationText(ParseDuration(text).value()), text);
    EXPECT_EQ(FromProto(ToProto(ParseDuration(text).value())), ParseDuration(text).value());
  }
}

TEST(Size, ReadsUnitsOfTwoToTheTenAndPlainBytes) {
  EXPECT_EQ(ParseSize("0").value(), 0);
  EXPECT_EQ(ParseSize("1000").value(), 1000);
  EXPECT_EQ(ParseSize("4KiB").value(), 4096);
  EXPECT_EQ(ParseSize("64MiB").value(), 64 << 20);
  EXPECT_EQ(ParseSize("2GiB").value(), std::int64_t{2} << 30);
}

TEST(Size, RefusesOtherUnitsAndWhatDoesNotFit) {
  for (const char* text : {"", "50MB", "50mib", "1 MiB", "-1", "1.5MiB", "MiB", "1TiB"}) {
    EXPECT_THAT(ParseSize(text).status().ToString(), HasSubstr("expected a size")) << text;
  }
  EXPECT_THAT(ParseSize("9223372036854775807GiB").status().ToString(), HasSubstr("out of range"));
  EXPECT_THAT(ParseSize("99999999999999999999").status().ToString(), HasSubstr("out of range"));
}

TEST(Integer, IsDecimalAndInRange) {
  EXPECT_EQ(ParseUnsigned("4294967295", 4294967295).value(), 4294967295);
  EXPECT_EQ(ParseInteger("-5", -5, 5).value(), -5);
  for (const char* text : {"-1", "4294967296", "99999999999999999999999"}) {
    EXPECT_THAT(ParseUnsigned(text, 4294967295).status().ToString(), HasSubstr("out of range"));
  }
  for (const char* text : {"", "many", "1.0", "0x10", "1_000", "+1", " 1", "1e3", "-"}) {
    EXPECT_THAT(ParseUnsigned(text, 10).status().ToString(), HasSubstr("whole number")) << text;
    EXPECT_THAT(ParseInteger(text, 0, 10).status().ToString(), HasSubstr("whole number")) << text;
  }
}

TEST(Enum, HasShortNamesInLowerCase) {
  const auto& verdict = *postern::v1::DefaultVerdict_descriptor();
  EXPECT_EQ(ParseEnum("keep", verdict).value(), postern::v1::DEFAULT_VERDICT_KEEP);
  EXPECT_EQ(ParseEnum("shutdown", verdict).value(), postern::v1::DEFAULT_VERDICT_SHUTDOWN);
  EXPECT_EQ(ParseEnum("no_subscriber", *postern::v1::DefaultCause_descriptor()).value(),
            postern::v1::DEFAULT_CAUSE_NO_SUBSCRIBER);
  EXPECT_EQ(ShortName(*verdict.FindValueByNumber(1)), "keep");
}

TEST(Enum, NamesWhatThereIsAndWhatIsNotServed) {
  const auto& verdict = *postern::v1::DefaultVerdict_descriptor();
  for (const char* text : {"KEEP", "DEFAULT_VERDICT_KEEP", "unspecified", "1", ""}) {
    EXPECT_THAT(ParseEnum(text, verdict).status().ToString(),
                HasSubstr("expected one of keep, shutdown, not"))
        << text;
  }
  EXPECT_THAT(ParseEnum("hold", verdict).status().ToString(), HasSubstr("not served yet"));
}

}  // namespace
}  // namespace postern::config
