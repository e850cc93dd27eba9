// `postern completion`: a completion script, made of the commands as they are.
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/command.h"

namespace postern::client {
namespace {

std::string OptionsOf(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) absl::StrAppend(&words, " --", name);
  }
  return words;
}

// One line of the table for each command: ["postern submit"]=" --from --to ...".
void AddWords(const CLI::App& app, const std::string& path, std::string& table) {
  std::string words = OptionsOf(app);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    absl::StrAppend(&words, " ", command->get_name());
    AddWords(*command, absl::StrCat(path, " ", command->get_name()), table);
  }
  absl::StrAppend(&table, "  [\"", path, "\"]=\"", words, "\"\n");
}

}  // namespace

// The script for `app` and everything below it.
static std::string BashCompletion(const CLI::App& app) {
  std::string table;
  AddWords(app, "postern", table);
  // Words before the cursor that name a command choose the line; global options follow everywhere.
  return absl::StrCat(
      "# bash completion for postern: source <(postern completion bash)\n"
      "_postern_everywhere=\"",
      OptionsOf(app),
      "\"\n"
      "declare -gA _postern_words=(\n",
      table,
      ")\n"
      "_postern() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} path=postern word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    [[ -n ${_postern_words[\"$path $word\"]+x} ]] && path+=\" $word\"\n"
      "  done\n"
      "  local words=${_postern_words[\"$path\"]}\n"
      "  [[ $path != postern ]] && words+=$_postern_everywhere\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  # An argument of its own: files.\n"
      "  [[ ${#COMPREPLY[@]} -eq 0 && $cur != -* ]] && COMPREPLY=($(compgen -f -- \"$cur\"))\n"
      "  return 0\n"
      "}\n"
      "complete -o filenames -F _postern postern\n");
}

void AddCompletion(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for the shell");
  auto shell = std::make_shared<std::string>("bash");
  command->add_option("shell", *shell, "bash")->check(CLI::IsMember({"bash"}))->default_str("bash");
  command->footer(
      "Examples:\n"
      "  source <(postern completion bash)\n"
      "  postern completion bash > /etc/bash_completion.d/postern");
  command->callback([&app, &invocation, shell] {  // keeps what the option writes to
    invocation.run = [&app](const Globals&) {
      std::cout << BashCompletion(app) << std::flush;
      return kOk;
    };
  });
}

}  // namespace postern::client
