#include "server/config/yaml_walker.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "postern/v1/config.pb.h"
#include "postern/v1/types.pb.h"
#include "server/base/check.h"
#include "server/config/field_text.h"

namespace postern::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::size_t kMostBytes = std::size_t{16} << 20;
// Aliases make a small file large: without a bound, nested ones would take for ever.
constexpr int kMostNodes = 1'000'000;

int LineOf(const YAML::Node& node) { return std::max(node.Mark().line, 0) + 1; }

// Plain scalars have the tag "?", quoted ones "!".
bool IsQuoted(const YAML::Node& node) { return node.Tag() == "!"; }

const char* KindOf(const YAML::Node& node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  if (node.IsScalar()) return "a single value";
  return "nothing";
}

// Levenshtein's distance.
std::size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// "; did you mean idle_timeout?", or nothing when no field's name is near.
std::string Suggestion(absl::string_view key, const Descriptor& type) {
  if (key.size() > 64) return "";
  std::size_t best = std::max<std::size_t>(1, key.size() / 3) + 1;
  std::string name;
  for (int i = 0; i < type.field_count(); ++i) {
    const std::size_t distance = Distance(key, type.field(i)->name());
    if (distance < best) {
      best = distance;
      name = type.field(i)->name();
    }
  }
  return name.empty() ? "" : absl::StrCat("; did you mean ", name, "?");
}

class Walker {
 public:
  explicit Walker(Problems& problems) : problems_(problems) {}

  void WalkMessage(const YAML::Node& node, const std::string& path, Message& message) {
    if (!node.IsMap())
      return Unreadable(node, path, absl::StrCat("expected a map, not ", KindOf(node)));
    absl::flat_hash_map<std::string, int> seen;
    for (const auto& entry : node) {
      std::string key;
      if (!TakeKey(entry.first, path, seen, key)) continue;
      const std::string where = Join(path, key);
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) {
        Unreadable(entry.first, Join(path, Bare(key)),
                   absl::StrCat("unknown key", Suggestion(key, *message.GetDescriptor())));
        continue;
      }
      problems_.SetLine(where, LineOf(entry.first));
      if (field->options().GetExtension(postern::v1::not_served)) {
        Unreadable(entry.first, where, "not served yet");
        continue;
      }
      WalkField(entry.second, where, *field, message);
    }
  }

 private:
  void Unreadable(const YAML::Node& node, const std::string& path, absl::string_view cause) {
    // What is not there has the mark of what comes behind it: its key tells better.
    const int key_line = node.IsNull() ? problems_.LineOf(path) : 0;
    problems_.AddUnreadable(key_line != 0 ? key_line : LineOf(node), path, cause);
  }

  // A key for a path: as it is, or quoted if it could not be told apart there.
  static std::string Bare(const std::string& key) {
    const bool plain = std::all_of(
        key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f && c != '.' && c != '"'; });
    return plain && !key.empty() && key.size() <= 64 ? key : Quoted(key);
  }

  // False if the key is no scalar, was there before, or the walk has gone on for too long.
  bool TakeKey(const YAML::Node& node, const std::string& path,
               absl::flat_hash_map<std::string, int>& seen, std::string& key) {
    if (!CountNode(node)) return false;
    if (!node.IsScalar()) {
      Unreadable(node, path, absl::StrCat("a key must be a single word, not ", KindOf(node)));
      return false;
    }
    key = node.Scalar();
    const auto [first, is_new] = seen.emplace(key, LineOf(node));
    if (is_new) return true;
    Unreadable(node, Join(path, Bare(key)),
               absl::StrCat("is there twice; first in line ", first->second));
    return false;
  }

  bool CountNode(const YAML::Node& node) {
    if (nodes_ > kMostNodes) return false;
    if (++nodes_ <= kMostNodes) return true;
    Unreadable(node, "", absl::StrCat("more than ", kMostNodes, " values, aliases included"));
    return false;
  }

  void WalkField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                 Message& message) {
    const bool group = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field);
    if (node.IsNull() && (field.is_repeated() || group)) return;
    if (field.is_map()) return WalkMap(node, path, message);
    if (field.is_repeated()) return WalkList(node, path, field, message);
    WalkValue(node, path, field, message);
  }

  void WalkList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                Message& message) {
    if (!node.IsSequence()) {
      return Unreadable(node, path, absl::StrCat("expected a list, not ", KindOf(node)));
    }
    int index = 0;
    for (const auto& entry : node) {
      if (!CountNode(entry)) return;
      const std::string where = Element(path, index++);
      problems_.SetLine(where, LineOf(entry));
      WalkValue(entry, where, field, message);
    }
  }

  // The one map of the schema is Module.options. Not by reflection: in a TSan build, protobuf's
  // headers lay map fields out differently from the installed library.
  void WalkMap(const YAML::Node& node, const std::string& path, Message& message) {
    auto* module = google::protobuf::DynamicCastToGenerated<postern::v1::Module>(&message);
    POSTERN_CHECK(module != nullptr);
    if (!node.IsMap()) {
      return Unreadable(node, path, absl::StrCat("expected a map, not ", KindOf(node)));
    }
    absl::flat_hash_map<std::string, int> seen;
    for (const auto& entry : node) {
      std::string key;
      if (!TakeKey(entry.first, path, seen, key)) continue;
      const std::string where = Join(path, Bare(key));
      problems_.SetLine(where, LineOf(entry.first));
      if (!entry.second.IsScalar()) {
        Unreadable(entry.second, where,
                   absl::StrCat("expected a single value, not ", KindOf(entry.second)));
        continue;
      }
      (*module->mutable_options())[key] = entry.second.Scalar();
    }
  }

  // One value of the field. A list gets an entry even if it cannot be read, so that the places of
  // the others, and so their paths, stay.
  void WalkValue(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                 Message& message) {
    const Reflection& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field)) {
      Message* child = field.is_repeated() ? reflection.AddMessage(&message, &field)
                                           : reflection.MutableMessage(&message, &field);
      return WalkMessage(node, path, *child);
    }
    absl::Status status;
    if (!node.IsScalar()) {
      status =
          absl::InvalidArgumentError(absl::StrCat("expected a single value, not ", KindOf(node)));
      if (field.is_repeated()) SetFieldText("", false, field, message).IgnoreError();
    } else {
      status = SetFieldText(node.Scalar(), IsQuoted(node), field, message);
    }
    if (!status.ok()) Unreadable(node, path, status.message());
  }

  Problems& problems_;
  int nodes_ = 0;
};

// The line of the first byte that is not UTF-8 or is a control character; 0: the text is clean.
// yaml-cpp would replace such bytes silently, and it takes UTF-16 for granted after some of them.
int FirstBadLine(const std::string& text) {
  int line = 1;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') ++line;
    if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) return line;
    const std::size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (length == 0 || c > 0xf4 || i + length > text.size()) return line;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return line;
    }
    const auto second = length > 1 ? static_cast<unsigned char>(text[i + 1]) : 0;
    const bool overlong = (c == 0xe0 && second < 0xa0) || (c == 0xf0 && second < 0x90);
    const bool beyond = (c == 0xed && second > 0x9f) || (c == 0xf4 && second > 0x8f);
    if (overlong || beyond) return line;
    i += length;
  }
  return 0;
}

// Counts documents, and keeps the line where the last one begins.
class DocumentCounter final : public YAML::EventHandler {
 public:
  int line() const { return line_; }

  void OnDocumentStart(const YAML::Mark& mark) override { line_ = std::max(mark.line, 0) + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int line_ = 1;
};

// The line of whatever stands behind the first document; 0: nothing. YAML::LoadAll would hang here:
// at a "," outside of a list, yaml-cpp 0.7 makes empty documents without end.
int LineBehindDocument(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  DocumentCounter counter;
  const bool second = parser.HandleNextDocument(counter) && parser.HandleNextDocument(counter);
  return second ? counter.line() : 0;
}

}  // namespace

void WalkYaml(const std::string& text, google::protobuf::Message& message, Problems& problems) {
  if (text.size() > kMostBytes) {
    return problems.AddUnreadable(1, "", absl::StrCat("more than ", kMostBytes, " bytes"));
  }
  if (const int line = FirstBadLine(text); line != 0) {
    return problems.AddUnreadable(line, "", "a byte that is not UTF-8, or a control character");
  }
  try {
    if (const int line = LineBehindDocument(text); line != 0) {
      return problems.AddUnreadable(line, "", "not YAML, or a second document in the file");
    }
    const YAML::Node document = YAML::Load(text);
    if (!document.IsNull()) Walker(problems).WalkMessage(document, "", message);
  } catch (const YAML::Exception& e) {
    problems.AddUnreadable(std::max(e.mark.line, 0) + 1, "", absl::StrCat("not YAML: ", e.msg));
  } catch (const std::exception& e) {
    problems.AddUnreadable(1, "", absl::StrCat("not YAML: ", e.what()));
  }
}

}  // namespace postern::config
