// DialogueDriver: plays the peer of a ClientDialogue in a few words.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/smtp/client_dialogue.h"

namespace postern::smtp {

using Want = ClientDialogue::Want;

class DialogueDriver {
 public:
  DialogueDriver() = default;
  explicit DialogueDriver(const HandshakePlan& plan) : dialogue("client.example", plan) {}

  // What the dialogue wants to send, as sent.
  std::string Sent() {
    const absl::string_view out = dialogue.output();
    std::string sent(out.data(), out.size());
    dialogue.Written(sent.size());
    return sent;
  }

  // The peer sends `lines`, each of which gets its CRLF; what the dialogue sends then.
  std::string Peer(const std::vector<std::string>& lines) {
    std::string bytes;
    for (const std::string& line : lines) absl::StrAppend(&bytes, line, "\r\n");
    dialogue.Feed(bytes);
    return Sent();
  }

  // Up to kReady, with the extensions given.
  void Handshake(const std::vector<std::string>& extensions) {
    Peer({"220 mx"});
    std::vector<std::string> lines = {"250-mx"};
    for (const std::string& extension : extensions) lines.push_back("250-" + extension);
    lines.push_back("250 OK");
    Peer(lines);
  }

  std::string Begin(const Transaction& transaction) {
    dialogue.Begin(transaction);
    return Sent();
  }

  // Sends `content` whole.
  std::string Content(absl::string_view content) {
    dialogue.AppendContent(content);
    dialogue.FinishContent();
    return Sent();
  }

  ClientDialogue dialogue{"client.example"};
};

inline Transaction To(std::vector<absl::string_view> recipients) {
  Transaction t;
  t.sender = "s@a.example";
  t.recipients = std::move(recipients);
  t.content_bytes = 5;
  return t;
}

// The reply's code; 0: null.
inline int Code(const ReplyPtr& reply) { return reply == nullptr ? 0 : reply->code; }

inline std::vector<int> Codes(const std::vector<ReplyPtr>& replies) {
  std::vector<int> codes;
  for (const ReplyPtr& reply : replies) codes.push_back(Code(reply));
  return codes;
}

}  // namespace postern::smtp
