// Endpoints as text.
#pragma once

#include <asio/ip/tcp.hpp>
#include <string>

namespace postern::net {

// "192.0.2.1:25" or "[2001:db8::1]:25".
std::string FormatEndpoint(const asio::ip::tcp::endpoint& endpoint);

}  // namespace postern::net
