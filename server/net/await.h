// How a coroutine awaits: errors come back as the first element of a tuple, nothing is thrown.
#pragma once

#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>

namespace postern::net {

inline constexpr auto kAsTuple = asio::experimental::as_tuple(asio::use_awaitable);

}  // namespace postern::net
