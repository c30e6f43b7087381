/* UNIX sockets, with file descriptors (SCM_RIGHTS). And TCP's that listen. */
#include "native.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool unix_address(napi_env env, napi_value path, struct sockaddr_un *address) {
  memset(address, 0, sizeof(*address));
  address->sun_family = AF_UNIX;
  return path_of(env, path, address->sun_path, sizeof(address->sun_path));
}

static napi_value close_with(napi_env env, int fd, int error) {
  if (fd >= 0) close(fd);
  return integer(env, -error);
}

static napi_value listen_at(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  struct sockaddr_un address;
  if (!unix_address(env, argv[0], &address)) return integer(env, -ENAMETOOLONG);
  mode_t mode = (mode_t)int_of(env, argv[1]);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return integer(env, -errno);
  /* bind takes the socket's own mode less the umask: set before, there is no moment at which others may connect. */
  if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) return close_with(env, fd, errno);
  if (chmod(address.sun_path, mode) < 0 || listen(fd, int_of(env, argv[2])) < 0) {
    int error = errno;
    unlink(address.sun_path);
    return close_with(env, fd, error);
  }
  return integer(env, fd);
}

typedef union {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} tcp_address_t;

/* The address in figures: names are not looked up here. The length, or 0. */
static socklen_t tcp_address(napi_env env, napi_value text, uint16_t port, tcp_address_t *address) {
  char figures[INET6_ADDRSTRLEN];
  memset(address, 0, sizeof(*address));
  if (!path_of(env, text, figures, sizeof(figures))) return 0;
  if (inet_pton(AF_INET, figures, &address->v4.sin_addr) == 1) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(port);
    return sizeof(address->v4);
  }
  if (inet_pton(AF_INET6, figures, &address->v6.sin6_addr) != 1) return 0;
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons(port);
  return sizeof(address->v6);
}

/* listenTcp(address, port, backlog) */
static napi_value listen_tcp(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  tcp_address_t address;
  int32_t port = int_of(env, argv[1]);
  if (port < 0 || port > UINT16_MAX) return integer(env, -EINVAL);
  socklen_t length = tcp_address(env, argv[0], (uint16_t)port, &address);
  if (length == 0) return integer(env, -EINVAL);
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return integer(env, -errno);
  /* A daemon that ends and starts again gets its port while connections of the first are in TIME_WAIT; two that listen still exclude each other. */
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, &address.any, length) < 0 || listen(fd, int_of(env, argv[2])) < 0) return close_with(env, fd, errno);
  return integer(env, fd);
}

static napi_value tcp_port(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  tcp_address_t address;
  socklen_t length = sizeof(address);
  if (getsockname(int_of(env, argv[0]), &address.any, &length) < 0) return integer(env, -errno);
  if (address.any.sa_family == AF_INET) return integer(env, ntohs(address.v4.sin_port));
  return integer(env, address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : -EINVAL);
}

static napi_value connect_to(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct sockaddr_un address;
  if (!unix_address(env, argv[0], &address)) return integer(env, -ENAMETOOLONG);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return integer(env, -errno);
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) return close_with(env, fd, errno);
  return integer(env, fd);
}

static napi_value accept_from(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return outcome(env, accept4(int_of(env, argv[0]), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

/* socketPair(out: Int32Array): 0 | -errno */
static napi_value socket_pair(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  void *out;
  size_t length;
  if (!elements_of(env, argv[0], napi_int32_array, &out, &length) || length < 2) return integer(env, -EINVAL);
  return outcome(env, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out));
}

/* The kernel sends at most 253 fds with one message (SCM_MAX_FD). */
#define MOST_FDS 253

typedef union {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * MOST_FDS)];
} control_t;

static void close_fds(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++) close(fds[i]);
}

/* receive(fd, buffer, offset, length, fds, peek) */
static napi_value receive(napi_env env, napi_callback_info info) {
  ARGUMENTS(6);
  void *data, *fd_list;
  size_t room, fd_room;
  uint64_t offset, length;
  if (!elements_of(env, argv[1], napi_uint8_array, &data, &room)) return integer(env, -EINVAL);
  if (!elements_of(env, argv[4], napi_int32_array, &fd_list, &fd_room)) return integer(env, -EINVAL);
  if (!size_of(env, argv[2], &offset) || !size_of(env, argv[3], &length)) return integer(env, -EINVAL);
  if (fd_room < 1 || length == 0 || offset > room || length > room - offset) return integer(env, -EINVAL);

  int32_t *fds = fd_list;
  fds[0] = 0;
  control_t control;
  struct iovec vector = {(char *)data + offset, length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (bool_of(env, argv[5]) ? MSG_PEEK : 0);
  ssize_t result = recvmsg(int_of(env, argv[0]), &message, flags);
  if (result < 0) return integer(env, -errno);

  bool lost = (message.msg_flags & MSG_CTRUNC) != 0;
  size_t count = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t more = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (lost || count + more > fd_room - 1) {
      lost = true;
      close_fds((int *)CMSG_DATA(c), more);
      continue;
    }
    memcpy(fds + 1 + count, CMSG_DATA(c), more * sizeof(int));
    count += more;
  }
  if (lost) {
    close_fds(fds + 1, count);
    fds[0] = -(int32_t)result;
    return integer(env, -EMSGSIZE);
  }
  fds[0] = (int32_t)count;
  return integer(env, (int32_t)result);
}

/* send(fd, buffer, offset, length, fds | null) */
static napi_value send_to(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  void *data, *fd_list;
  size_t room, fd_room;
  uint64_t offset, length;
  if (!elements_of(env, argv[1], napi_uint8_array, &data, &room)) return integer(env, -EINVAL);
  if (!size_of(env, argv[2], &offset) || !size_of(env, argv[3], &length)) return integer(env, -EINVAL);
  if (length == 0 || offset > room || length > room - offset) return integer(env, -EINVAL);
  int fd = int_of(env, argv[0]);
  char *from = (char *)data + offset;

  napi_valuetype type = napi_null;
  if (!elements_of(env, argv[4], napi_int32_array, &fd_list, &fd_room)) napi_typeof(env, argv[4], &type);
  if (type == napi_object) return integer(env, -EINVAL);
  int32_t *fds = fd_list;
  if (fd_room == 0 || fds[0] == 0) return outcome(env, send(fd, from, length, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (fds[0] < 0 || fds[0] > MOST_FDS || (size_t)fds[0] > fd_room - 1) return integer(env, -EINVAL);

  size_t size = sizeof(int) * (size_t)fds[0];
  control_t control;
  memset(&control, 0, sizeof(control));
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(&control.header), fds + 1, size);
  struct iovec vector = {from, length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
  return outcome(env, sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Who closes a stream with bytes unread has its peer told ECONNRESET: so nothing more is let in, what is there is thrown away, fds with it, and then it closes. */
static napi_value hang_up(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = int_of(env, argv[0]);
  char unread[4096];
  shutdown(fd, SHUT_RDWR);
  while (recv(fd, unread, sizeof(unread), MSG_DONTWAIT) > 0) {}
  return outcome(env, close(fd));
}

static napi_value is_listening(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int value = 0;
  socklen_t size = sizeof(value);
  if (getsockopt(int_of(env, argv[0]), SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0) return integer(env, -errno);
  return integer(env, value != 0);
}

const function_t socket_functions[] = {
    {"listen", listen_at},
    {"listenTcp", listen_tcp},
    {"tcpPort", tcp_port},
    {"connect", connect_to},
    {"accept", accept_from},
    {"socketPair", socket_pair},
    {"receive", receive},
    {"send", send_to},
    {"hangUp", hang_up},
    {"isListening", is_listening},
    {NULL, NULL},
};
