/* The client's half of vfio-user, as little of it as the benchmarks need (vfio-user.rst, protocol 0.1). */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, DMA_MAP = 2, GET_REGION_INFO = 5, REGION_READ = 9, REGION_WRITE = 10 };
enum { REGION_BAR0 = 0, REGION_CONFIG = 7 };

struct header { uint16_t id, command; uint32_t size, flags, error; };
struct region_access { struct header h; uint64_t offset; uint32_t region, count; uint8_t data[8]; };

static void die(const char *what) { perror(what); exit(1); }

static void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int unix_socket(const char *path, struct sockaddr_un *address) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || strlen(path) >= sizeof address->sun_path) die("socket");
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strcpy(address->sun_path, path);
  return fd;
}

static int connect_to(const char *path) {
  struct sockaddr_un address;
  int fd = unix_socket(path, &address);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
  return fd;
}

/* Sends a message, with a file descriptor unless fd is -1. */
static void send_message(int socket, const void *message, size_t size, int fd) {
  struct iovec part = { (void *)message, size };
  union { struct cmsghdr align; char space[CMSG_SPACE(sizeof(int))]; } control;
  struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
  if (fd >= 0) {
    m.msg_control = control.space;
    m.msg_controllen = sizeof control.space;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  if (sendmsg(socket, &m, MSG_NOSIGNAL) != (ssize_t)size) die("sendmsg");
}

/* Receives one whole message; answers the file descriptor that came with it, or -1. */
static int receive_message(int socket, void *into, size_t room, size_t *size) {
  union { struct cmsghdr align; char space[CMSG_SPACE(16 * sizeof(int))]; } control;
  size_t have = 0, want = sizeof(struct header);
  int fd = -1;
  while (have < want) {
    struct iovec part = { (char *)into + have, want - have };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                        .msg_controllen = sizeof control.space };
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    if (n <= 0) { fprintf(stderr, "the server hung up\n"); exit(1); }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(c), sizeof fd);
    have += (size_t)n;
    if (have == sizeof(struct header)) want = ((struct header *)into)->size;
    if (want > room) { fprintf(stderr, "a reply of %zu bytes\n", want); exit(1); }
  }
  if (((struct header *)into)->flags & 0x20) {
    fprintf(stderr, "command %u: %s\n", ((struct header *)into)->command,
            strerror((int)((struct header *)into)->error));
    exit(1);
  }
  if (size) *size = have;
  return fd;
}

static void negotiate(int socket) {
  static const char json[] =
    "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,\"pgsizes\":4096}}";
  struct { struct header h; uint16_t major, minor; char json[sizeof json]; } __attribute__((packed)) m =
    { { 1, VERSION, sizeof m, 0, 0 }, 0, 1, "" };
  memcpy(m.json, json, sizeof json);
  char reply[4096];
  send_message(socket, &m, sizeof m, -1);
  receive_message(socket, reply, sizeof reply, NULL);
}

/* The request to read or write `count` bytes of a region; a write's data follows in `data`. */
static size_t access_request(struct region_access *m, int command, uint32_t region, uint64_t offset, uint32_t count) {
  size_t size = 32 + (command == REGION_WRITE ? count : 0);
  m->h = (struct header){ 2, (uint16_t)command, (uint32_t)size, 0, 0 };
  m->offset = offset;
  m->region = region;
  m->count = count;
  return size;
}
