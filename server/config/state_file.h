// State files: small things that posternd keeps beside its spool and that survive it, as
// protobuf-JSON, mode 0600 (they may hold secrets).
//
// Written whole: into a new file, synced, renamed over the old one, the directory synced. So a
// crash leaves the old state or the new one. Thread: any; one writer for each file.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace postern::config {

// Where the state files of a spool are.
std::string StateDirectory(const std::string& spool_directory);

// Makes the directory (the last part of it only) when it is missing. UNAVAILABLE naming the file
// and the cause; the old state is then still there.
absl::Status WriteState(const std::string& path, const google::protobuf::Message& message);

// False: there is no such file. FAILED_PRECONDITION naming the file: it cannot be read, or is not
// what WriteState writes. Fields that this release does not know are ignored.
absl::StatusOr<bool> ReadState(const std::string& path, google::protobuf::Message* message);

}  // namespace postern::config
