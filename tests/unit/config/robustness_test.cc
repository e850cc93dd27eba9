// Whatever the bytes, loading ends with a configuration or with errors that name the file.
#include <random>

#include "absl/strings/match.h"
#include "server/config/options_resolver.h"
#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

void LoadAnything(const std::string& text) {
  const absl::StatusOr<LoadedConfig> loaded = LoadText("f", text);
  if (loaded.ok()) {
    EXPECT_NE(OptionsResolver(loaded->config).ForPair("a.test", "default"), nullptr);
    return;
  }
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(std::string(loaded.status().message()), '\n'))) {
    EXPECT_TRUE(absl::StartsWith(line, "f:")) << line;
  }
}

TEST(Robustness, RandomBytesAreRefused) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random());
    LoadAnything(text);
  }
}

TEST(Robustness, RandomPiecesOfYamlAreRefusedOrLoaded) {
  const char* const pieces[] = {"server",
                                "options",
                                "domains",
                                "bindings",
                                "policy",
                                ": ",
                                ":",
                                "\n",
                                "\n  ",
                                "\n    ",
                                "- ",
                                "[",
                                "]",
                                "{",
                                "}",
                                ", ",
                                "&a ",
                                "*a",
                                "'",
                                "\"",
                                "|\n",
                                ">\n",
                                "# x\n",
                                "---\n",
                                "...\n",
                                "? ",
                                "!t ",
                                "~",
                                "<<",
                                "5m",
                                "1",
                                "name",
                                "a.test",
                                "%YAML 1.2\n",
                                "\\x00",
                                "\t",
                                "\xc3\xa4",
                                "retry_schedule",
                                "spool_directory",
                                "/s"};
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (std::uint_fast32_t n = random() % 30; n > 0; --n) {
      text += pieces[random() % std::size(pieces)];
    }
    LoadAnything(text);
  }
}

TEST(Robustness, AFileWithOneByteChangedIsRefusedOrLoaded) {
  const std::string good = std::string(kServer) +
                           "options: {retry_schedule: &r [5m, 1h], gateway: {host: g.test}}\n"
                           "domains:\n- name: a.test\n  options:\n    retry_schedule: *r\n"
                           "bindings: [{name: \"b\", domains: [{name: 'a.test'}]}]\n"
                           "routes: [{domain: '*', hosts: [\"[::1]:25\"]}]\n";
  LoadAnything(good);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', '\n', ' ', ':', '{', ']', '&', '*', '"', '-', '0', '\xff'}) {
      std::string text = good;
      text[i] = c;
      LoadAnything(text);
    }
    LoadAnything(good.substr(0, i));
  }
}

TEST(Robustness, DeepNestingIsRefused) {
  for (const char* open : {"[", "{a: ", "- ", "? ", "{[", "a: &a [*a, "}) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += open;
    LoadAnything(text);
  }
}

TEST(Robustness, ListsOnlySoManyErrors) {
  std::string text = kServer;
  for (int i = 0; i < 1500; ++i) absl::StrAppend(&text, "k", i, ": 1\n");
  const std::vector<std::string> errors = Errors(text);
  ASSERT_EQ(errors.size(), 1001u);
  EXPECT_EQ(errors.back(), "f: and 500 more errors");
}

}  // namespace
}  // namespace postern::config
