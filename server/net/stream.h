// Stream: a connected byte stream, the seam between a session and the network.
#pragma once

#include <asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <string>
#include <system_error>

#include "absl/strings/string_view.h"

namespace postern::net {

struct IoResult {
  std::size_t bytes = 0;  // moved, also when there is an error
  std::error_code error;  // asio::error::eof: the peer closed its side

  bool ok() const { return !error; }
};

// One read and one write may be under way at once. Nothing throws: errors are in IoResult.
// Thread: that of the io_context.
class Stream {
 public:
  virtual ~Stream() = default;

  // Waits for bytes and reads up to `size` > 0 of them. `data` lives until it is done.
  virtual asio::awaitable<IoResult> ReadSome(char* data, std::size_t size) = 0;

  // Writes `first` and then `second`, in one system call if the kernel takes them. Both live until
  // it is done. `bytes` is what the kernel took, also when there is an error.
  virtual asio::awaitable<IoResult> WriteAll(absl::string_view first, absl::string_view second) = 0;

  // Wait until the system would take a read or a write, without making one: for a layer on top that
  // makes its own. An error also when it is closed meanwhile.
  virtual asio::awaitable<std::error_code> WaitReadable() = 0;
  virtual asio::awaitable<std::error_code> WaitWritable() = 0;

  // Calls `ready` once when a read would not wait: bytes, the end of the stream or an error. One at
  // a time, and no read meanwhile. After CancelNotify() it is not called any more.
  virtual void NotifyReadable(std::function<void()> ready) = 0;
  virtual void CancelNotify() = 0;

  // Closes; a read or write under way ends with operation_aborted, a later one with an error.
  virtual void Close() = 0;

  // The descriptor; -1 once closed.
  virtual int native_handle() = 0;

  // "192.0.2.1:25" or "[2001:db8::1]:25"; also after Close().
  virtual std::string local_address() const = 0;
  virtual std::string remote_address() const = 0;
};

}  // namespace postern::net
