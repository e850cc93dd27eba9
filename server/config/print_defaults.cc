// PrintDefaults (defaults.h): walks the schema's descriptor; its comments come from the schema's
// source, which the build embeds.
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.pb.h"
#include "postern/v1/config.pb.h"
#include "postern/v1/types.pb.h"
#include "server/base/check.h"
#include "server/config/defaults.h"
#include "server/config/field_text.h"
#include "server/config/values.h"

namespace postern::config {

// Generated: a FileDescriptorSet of config.proto with its source's comments.
absl::string_view ConfigSchema();

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using Comments = absl::flat_hash_map<std::string, std::string>;  // by the field's full name

Comments ReadComments() {
  google::protobuf::FileDescriptorSet set;
  const absl::string_view bytes = ConfigSchema();
  POSTERN_CHECK(set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  Comments comments;
  for (const auto& file : set.file()) {
    for (const auto& location : file.source_code_info().location()) {
      // {4, message, 2, field}: see SourceCodeInfo.Location.path. The schema nests no messages.
      if (location.path_size() != 4 || location.path(0) != 4 || location.path(2) != 2) continue;
      const auto& message = file.message_type(location.path(1));
      comments.emplace(absl::StrCat(file.package(), ".", message.name(), ".",
                                    message.field(location.path(3)).name()),
                       location.leading_comments());
    }
  }
  return comments;
}

// What stands for a value of the field where there is no default.
std::string Placeholder(const FieldDescriptor& field) {
  if (field.is_repeated()) return "[]";
  if (IsDuration(field)) return "DURATION";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "TEXT";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "WORD";
    default:
      return "NUMBER";
  }
}

class Printer {
 public:
  Printer() {
    const Descriptor& config = *postern::v1::Config::descriptor();
    for (int i = 0; i < config.field_count(); ++i) {
      const FieldDescriptor& field = *config.field(i);
      if (!field.is_repeated() && field.message_type() != nullptr) {
        widest_.insert(field.message_type());
      }
    }
  }

  std::string Take() { return std::move(out_); }

  // `prefix` begins every line: spaces, behind "#" where the lines are commented out.
  void PrintMessage(const Descriptor& type, const std::string& prefix) {
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (!field.options().GetExtension(postern::v1::not_served)) PrintField(field, prefix);
    }
  }

 private:
  void Line(const std::string& prefix, absl::string_view text) {
    absl::StrAppend(&out_, prefix, text, "\n");
  }

  // The schema's comment and an enum's words, indented like the key.
  void Comment(const FieldDescriptor& field, const std::string& prefix) {
    std::string indent(prefix);
    if (!indent.empty() && indent[0] == '#') indent[0] = ' ';
    const auto found = comments_.find(field.full_name());
    if (found != comments_.end() && !found->second.empty()) {
      for (absl::string_view line : absl::StrSplit(absl::StripSuffix(found->second, "\n"), '\n')) {
        Line(indent, absl::StrCat("#", line));
      }
    }
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM) return;
    std::vector<std::string> words;
    for (int i = 1; i < field.enum_type()->value_count(); ++i) {
      const auto& value = *field.enum_type()->value(i);
      if (!value.options().GetExtension(postern::v1::value_not_served)) {
        words.push_back(ShortName(value));
      }
    }
    Line(indent, absl::StrCat("# One of: ", absl::StrJoin(words, ", "), "."));
  }

  void PrintField(const FieldDescriptor& field, const std::string& prefix) {
    const bool commented = !prefix.empty() && prefix[0] == '#';
    if (prefix.empty()) out_ += "\n";
    Comment(field, prefix);
    const std::string off = commented ? prefix : absl::StrCat("#", prefix);
    const absl::string_view text = DefaultText(field);
    const bool group = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field);
    if (!text.empty()) return Line(prefix, absl::StrCat(field.name(), ": ", text));
    if (!group) return Line(off, absl::StrCat(field.name(), ": ", Placeholder(field)));
    if (field.is_map()) return Line(off, absl::StrCat(field.name(), ": {}"));
    const Descriptor& type = *field.message_type();
    // Options in a narrower scope, a second list of the same kind: the keys stand elsewhere.
    const bool elsewhere = !prefix.empty() && widest_.contains(&type);
    if (elsewhere || !printed_.insert(&type).second) {
      return Line(off, absl::StrCat(field.name(), ": ", field.is_repeated() ? "[]" : "{}"));
    }
    if (field.is_repeated()) {
      Line(off, absl::StrCat(field.name(), ":"));
      Line(off, "-");
      return PrintMessage(type, absl::StrCat(off, "  "));
    }
    // A group that is a process-wide one is always there; another one (gateway) only if it is set.
    const bool always = prefix.empty();
    Line(always ? prefix : off, absl::StrCat(field.name(), ":"));
    PrintMessage(type, absl::StrCat(always ? prefix : off, "  "));
  }

  const Comments comments_ = ReadComments();
  absl::flat_hash_set<const Descriptor*> widest_;  // groups that the configuration has once
  absl::flat_hash_set<const Descriptor*> printed_;
  std::string out_;
};

}  // namespace

std::string PrintDefaults() {
  Printer printer;
  printer.PrintMessage(*postern::v1::Config::descriptor(), "");
  return absl::StrCat(
      "# Postern's configuration: every key at its default. What is commented out has no fixed\n"
      "# default: it is not set, or depends on the host, as its comment says.\n",
      printer.Take());
}

}  // namespace postern::config
