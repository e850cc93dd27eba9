#include "server/base/json_line.h"

#include <gtest/gtest.h>

namespace postern::base {
namespace {

TEST(JsonLine, WritesEveryKindOfField) {
  EXPECT_EQ(JsonLine()
                .Text("t", "x")
                .Number("n", 7)
                .Seconds("s", absl::Microseconds(1500001))
                .Time("at", absl::FromUnixMicros(1'000'000'250'000))
                .Flag("yes", true)
                .Object("o", JsonLine().Number("a", 1).Take())
                .List("l", {JsonLine().Take(), "{}"})
                .Take(),
            "{\"t\":\"x\",\"n\":7,\"s\":1.500001,\"at\":\"1970-01-12T13:46:40.250000Z\","
            "\"yes\":true,\"o\":{\"a\":1},\"l\":[{},{}]}");
}

TEST(JsonLine, LeavesOutWhatIsEmptyOrFalse) {
  EXPECT_EQ(JsonLine().Text("t", "").Flag("f", false).Take(), "{}");
}

TEST(JsonLine, EscapesAndKeepsToOneLine) {
  EXPECT_EQ(JsonLine().Text("t", absl::string_view("a\"\\\n\r\t\0b\x7f", 9)).Take(),
            "{\"t\":\"a\\\"\\\\\\n\\u000d\\u0009\\u0000b\\u007f\"}");
}

TEST(JsonLine, IsUtf8WhateverComesIn) {
  EXPECT_EQ(JsonLine().Text("t", "gr\xc3\xbc\xc3\x9f \xff\xc3").Take(),
            "{\"t\":\"gr\xc3\xbc\xc3\x9f ??\"}");
}

}  // namespace
}  // namespace postern::base
