// Unix sockets, as far as Node does not know them: who the peer is, and datagrams to the service manager.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "native.h"

namespace native {
namespace {

// The user at the other end of a connected Unix socket, as it was when the connection was made.
Napi::Value peerUser(const Napi::CallbackInfo &info) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  int fd = info[0].As<Napi::Number>().Int32Value();
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
    throw toError(info.Env(), Failure{errno, "getsockopt SO_PEERCRED", {}, {}});
  }
  return Napi::Number::New(info.Env(), peer.uid);
}

void sendTo(const std::string &path, const std::string &text) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) fail("sendto", path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  // A name that begins with @ is an abstract one: its first byte is zero on the wire.
  if (path[0] == '@') address.sun_path[0] = '\0';
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  Descriptor socket(check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  check(sendto(socket, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr *>(&address), length),
        "sendto", path);
}

// Sends one datagram to the socket at a path.
Napi::Value sendDatagram(const Napi::CallbackInfo &info) {
  try {
    sendTo(info[0].As<Napi::String>(), info[1].As<Napi::String>());
  } catch (const Failure &failure) {
    throw toError(info.Env(), failure);
  }
  return info.Env().Undefined();
}

}  // namespace

void initSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("peerUser", Napi::Function::New(env, peerUser));
  exports.Set("sendDatagram", Napi::Function::New(env, sendDatagram));
}

}  // namespace native
