// TLS, identities and rights that make no sense.
#include "server/config/validate_access.h"

#include "tests/unit/config/fixture.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ValidateAccess, TlsNeedsCertificateAndKeyAndBeyondLoopbackACaForClients) {
  EXPECT_THAT(ListenerErrors("{address: \"127.0.0.1:1\", tls: {}}"),
              ElementsAre("f:4: server.grpc_listeners[0].tls.certificate_file: required",
                          "f:4: server.grpc_listeners[0].tls.key_file: required"));
  const std::string files = "certificate_file: /c, key_file: /k";
  EXPECT_THAT(ListenerErrors("{address: \"127.0.0.1:1\", tls: {" + files + "}}"), IsEmpty());
  EXPECT_THAT(ListenerErrors("{address: \"0.0.0.0:1\", tls: {" + files + "}}"),
              ElementsAre(HasSubstr("f:4: server.grpc_listeners[0].tls.client_ca_file: required")));
  EXPECT_THAT(ListenerErrors("{address: \"0.0.0.0:1\", tls: {" + files + ", client_ca_file: /a}}"),
              IsEmpty());
  EXPECT_THAT(ListenerErrors("{address: \"unix:/s\", tls: {" + files + "}}"),
              ElementsAre(HasSubstr("tls: a unix socket speaks plaintext")));
}

TEST(ValidateAccess, OptionalCertificatesBeyondLoopbackNeedIdentities) {
  const std::string entry =
      "{address: \"0.0.0.0:1\", tls: {certificate_file: /c, key_file: /k, client_certificates: "
      "optional}";
  EXPECT_THAT(ListenerErrors(entry + "}"),
              ElementsAre(HasSubstr("there are no identities: whoever reaches it")));
  EXPECT_THAT(ListenerErrors(entry + ", insecure: true}"), IsEmpty());
  EXPECT_THAT(ListenerErrors(entry + "}", "identities: [{name: a, token_file: /t}]\n"), IsEmpty());
}

TEST(ValidateAccess, OnlyUnixSocketsHavePermissions) {
  EXPECT_THAT(ListenerErrors("{address: \"unix:/s\", unix_mode: \"0600\"}"), IsEmpty());
  EXPECT_THAT(ListenerErrors("{address: \"unix:/s\", unix_mode: \"0680\"}"),
              ElementsAre(HasSubstr("unix_mode: expected permissions in octal")));
  EXPECT_THAT(ListenerErrors("{address: \"127.0.0.1:1\", unix_mode: \"0600\"}"),
              ElementsAre(HasSubstr("unix_mode: only a unix socket")));
}

TEST(ValidateAccess, ModesAreOctal) {
  EXPECT_EQ(ParseUnixMode(""), 0660);
  EXPECT_EQ(ParseUnixMode("600"), 0600);
  EXPECT_EQ(ParseUnixMode("0777"), 0777);
  EXPECT_EQ(ParseUnixMode("1777"), -1);
  EXPECT_EQ(ParseUnixMode("rw"), -1);
}

TEST(ValidateAccess, IdentitiesHaveANameAndSomethingToBeKnownBy) {
  EXPECT_THAT(
      ErrorsAfterServer("identities:\n- name: a\n- {uris: [\"x:y\"]}\n"
                        "- {name: b c, token_file: /t}\n"
                        "- {name: d, uris: [nouri, \"a:*b\", \"a:*\"]}\n"),
      ElementsAre(HasSubstr("f:3: identities[0]: needs at least one of"),
                  "f:4: identities[1].name: required", HasSubstr("f:5: identities[2].name: "),
                  HasSubstr("f:6: identities[3].uris[0]: expected a URI"),
                  HasSubstr("f:6: identities[3].uris[1]: expected a URI")));
}

TEST(ValidateAccess, NobodyIsTwo) {
  EXPECT_THAT(ErrorsAfterServer("identities:\n"
                                "- {name: a, uris: [\"x:y\"], local: [unix]}\n"
                                "- {name: a, uris: [\"x:y\"], local: [loopback]}\n"
                                "- {name: b, local: [unix]}\n"),
              ElementsAre("f:4: identities[1].name: is also identities[0].name",
                          "f:4: identities[1].uris[0]: is also identities[0].uris[0]",
                          "f:5: identities[2].local[0]: is also identities[0].local[0]"));
}

TEST(ValidateAccess, RightsNameWhatThereIs) {
  EXPECT_THAT(
      ErrorsAfterServer("identities:\n- name: a\n  local: [unix]\n  rights:\n"
                        "    submit: {sender_domains: [\"<>\", \"a.*\"], bindings: [nope]}\n"
                        "    watch: {domains: [\"*x\"], bindings: [default]}\n"
                        "    decide: {providers: [ok, \"ok*\", \"*\", Bad]}\n"),
      ElementsAre(HasSubstr("f:6: identities[0].rights.submit.sender_domains[1]: "),
                  HasSubstr("f:6: identities[0].rights.submit.bindings[0]: no binding \"nope\""),
                  HasSubstr("f:7: identities[0].rights.watch.domains[0]: "),
                  HasSubstr("f:8: identities[0].rights.decide.providers[3]: ")));
}

TEST(ValidateAccess, ProvidersAreForIdentitiesThatThereAre) {
  EXPECT_THAT(ErrorsAfterServer("policy:\n  providers:\n  - {name: p, identities: [ghost], "
                                "allow: {domains: [\"*.*\"]}}\n"),
              ElementsAre(HasSubstr("policy.providers[0].identities[0]: no identity \"ghost\""),
                          HasSubstr("policy.providers[0].allow.domains[0]: ")));
}

}  // namespace
}  // namespace postern::config
