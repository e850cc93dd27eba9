#include "server/smtp/dot_writer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace postern::smtp {
namespace {

std::string Dotted(absl::string_view content) {
  std::string out;
  AppendDotted(content, &out);
  return out;
}

std::string DottedInPieces(const std::string& content, const std::vector<std::size_t>& sizes) {
  std::string out;
  DotWriter writer;
  std::size_t pos = 0;
  for (std::size_t size : sizes) {
    const std::string part = content.substr(pos, size);  // a copy: nothing before or after it is
    pos += part.size();                                  // readable
    writer.Append(part, &out);
  }
  writer.Append(absl::string_view(content).substr(pos), &out);
  writer.Finish(&out);
  return out;
}

// What the content means, written the slow way: every CRLF, CR and LF is one line end.
std::string Normalised(const std::string& content) {
  std::string out;
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\r') {
      out += "\r\n";
      if (i + 1 < content.size() && content[i + 1] == '\n') ++i;
    } else if (content[i] == '\n') {
      out += "\r\n";
    } else {
      out += content[i];
    }
  }
  if (!out.empty() && (out.size() < 2 || out.substr(out.size() - 2) != "\r\n")) out += "\r\n";
  return out;
}

// A receiver by the letter of RFC 5321: lines end in CRLF, "." alone is the end, a first dot of
// other lines goes. Fails on a lone CR or LF and on anything after the end.
std::string Receive(const std::string& wire) {
  std::string out, line;
  for (std::size_t i = 0; i < wire.size(); ++i) {
    if (wire[i] == '\r') {
      if (i + 1 >= wire.size() || wire[i + 1] != '\n') return "FAIL: lone CR";
      ++i;
      if (line == ".") return i + 1 == wire.size() ? out : "FAIL: bytes after the end";
      if (!line.empty() && line[0] == '.') line.erase(0, 1);
      out += line + "\r\n";
      line.clear();
    } else if (wire[i] == '\n') {
      return "FAIL: lone LF";
    } else {
      line += wire[i];
    }
  }
  return "FAIL: no end";
}

TEST(DotWriterTest, EndsContentWithExactlyOneDot) {
  EXPECT_EQ(Dotted(""), ".\r\n");
  EXPECT_EQ(Dotted("a"), "a\r\n.\r\n");
  EXPECT_EQ(Dotted("a\r\n"), "a\r\n.\r\n");
  EXPECT_EQ(Dotted("a\r\n\r\n"), "a\r\n\r\n.\r\n");
  EXPECT_EQ(Dotted("\r\n"), "\r\n.\r\n");
}

TEST(DotWriterTest, StuffsDotsAtLineStartsOnly) {
  EXPECT_EQ(Dotted(".\r\n"), "..\r\n.\r\n");
  EXPECT_EQ(Dotted("."), "..\r\n.\r\n");
  EXPECT_EQ(Dotted("a.\r\n.b\r\n..c\r\n"), "a.\r\n..b\r\n...c\r\n.\r\n");
}

TEST(DotWriterTest, MakesEveryLineEndACrlf) {
  EXPECT_EQ(Dotted("a\nb\rc\r\nd"), "a\r\nb\r\nc\r\nd\r\n.\r\n");
  EXPECT_EQ(Dotted("a\r\r\nb"), "a\r\n\r\nb\r\n.\r\n");
  EXPECT_EQ(Dotted("a\n\rb"), "a\r\n\r\nb\r\n.\r\n");
  EXPECT_EQ(Dotted("\r"), "\r\n.\r\n");
  EXPECT_EQ(Dotted("\n"), "\r\n.\r\n");
}

TEST(DotWriterTest, PassesOtherBytesAndLongLinesAsTheyAre) {
  std::string content(5000, 'x');
  content += '\0';
  content += "\xFF\x80";
  EXPECT_EQ(Dotted(content), content + "\r\n.\r\n");
}

TEST(DotWriterTest, CannotBeUsedToSmuggle) {
  const std::vector<std::string> ends = {"\n", "\r", "\r\n", "\r\r", "\n\n", "\n\r", "\r\r\n", ""};
  for (const std::string& before : ends) {
    for (const std::string& after : ends) {
      const std::string content =
          "a" + before + "." + after + "MAIL FROM:<evil@example.org>" + before + ".";
      EXPECT_EQ(Receive(Dotted(content)), Normalised(content)) << testing::PrintToString(content);
    }
  }
}

// All contents of up to seven characters out of those that matter, each split everywhere.
TEST(DotWriterTest, WhatIsReceivedIsTheNormalisedContentForEveryShortContentAndSplit) {
  const std::string alphabet = "\r\n.a";
  for (std::size_t length = 0; length <= 7; ++length) {
    for (std::size_t n = 0; n < (std::size_t{1} << (2 * length)); ++n) {
      std::string content;
      for (std::size_t i = 0; i < length; ++i) content += alphabet[(n >> (2 * i)) & 3];
      const std::string wire = Dotted(content);
      ASSERT_EQ(Receive(wire), Normalised(content)) << testing::PrintToString(content);
      for (std::size_t at = 0; at <= length; ++at) {
        ASSERT_EQ(DottedInPieces(content, {at}), wire) << testing::PrintToString(content) << at;
      }
      ASSERT_EQ(DottedInPieces(content, std::vector<std::size_t>(length, 1)), wire);
    }
  }
}

TEST(DotWriterTest, WhatIsReceivedIsTheNormalisedContentForRandomContents) {
  std::mt19937 random(20240607);
  const std::string alphabet = "\r\n\r\n..abcdefgh \xC3\xA4";
  for (int round = 0; round < 2000; ++round) {
    std::string content;
    const std::size_t length = random() % 400;
    for (std::size_t i = 0; i < length; ++i) content += alphabet[random() % alphabet.size()];
    const std::string wire = Dotted(content);
    ASSERT_EQ(Receive(wire), Normalised(content)) << testing::PrintToString(content);
    const std::vector<std::size_t> sizes = {random() % 50, random() % 50, random() % 50};
    ASSERT_EQ(DottedInPieces(content, sizes), wire) << testing::PrintToString(content);
  }
}

// The same in the midst of canonical text, at every place of the blocks that are looked at at once.
TEST(DotWriterTest, WhatIsReceivedIsTheNormalisedContentAtEveryPlaceOfALongContent) {
  const std::string alphabet = "\r\n.a";
  const std::string tail = "the end of it\r\n" + std::string(200, 'y') + "\r\n.z";
  for (std::size_t before = 50; before <= 140; ++before) {
    const std::string start = "x\r\n" + std::string(before, 'x');
    for (std::size_t n = 0; n < 256; ++n) {
      std::string content = start;
      for (std::size_t i = 0; i < 4; ++i) content += alphabet[(n >> (2 * i)) & 3];
      const std::size_t split = content.size() - n % 6;
      content += tail;
      const std::string wire = Dotted(content);
      ASSERT_EQ(Receive(wire), Normalised(content)) << testing::PrintToString(content);
      ASSERT_EQ(DottedInPieces(content, {split}), wire) << testing::PrintToString(content);
    }
  }
}

TEST(DotWriterTest, IsReadyForAnotherContentAfterFinish) {
  DotWriter writer;
  std::string out;
  writer.Append("a\r", &out);
  writer.Finish(&out);
  out.clear();
  writer.Append("\n.b", &out);
  writer.Finish(&out);
  EXPECT_EQ(out, "\r\n..b\r\n.\r\n");
}

TEST(DotWriterTest, CopiesCanonicalContentIntoOneAllocation) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += std::string(76, 'x') + "\r\n";
  std::string out;
  AppendDotted(content, &out);
  EXPECT_EQ(out, content + ".\r\n");
  EXPECT_LT(out.capacity(), content.size() + content.size() / 32);
}

}  // namespace
}  // namespace postern::smtp
