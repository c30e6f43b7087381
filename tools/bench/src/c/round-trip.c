/* Times one-byte reads of BAR0 as a machine monitor's thread does them: send, then block until the answer is there.
 * usage: round-trip SOCKET vfio-user|echo COUNT PAUSE_US CPU; prints p50, p99 and the mean in ns, as JSON */
#include "vfio-user.h"

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  long count = atol(argv[3]), pause_us = atol(argv[4]);
  pin(atoi(argv[5]));
  int socket = connect_to(argv[1]);
  if (!strcmp(argv[2], "vfio-user")) negotiate(socket);
  struct region_access request;
  size_t size = access_request(&request, REGION_READ, REGION_BAR0, 0x1c, 1);
  uint64_t *took = calloc((size_t)count, sizeof *took), sum = 0;
  long warm = count / 10 + 2000;
  for (long i = -warm; i < count; i++) {
    char reply[64];
    if (pause_us) for (uint64_t until = now_ns() + (uint64_t)pause_us * 1000; now_ns() < until;) ;
    uint64_t start = now_ns();
    if (send(socket, &request, size, MSG_NOSIGNAL) != (ssize_t)size) die("send");
    for (size_t have = 0; have < 33;) {
      ssize_t n = recv(socket, reply + have, sizeof reply - have, 0);
      if (n <= 0) die("recv");
      have += (size_t)n;
    }
    if (i >= 0) sum += took[i] = now_ns() - start;
  }
  qsort(took, (size_t)count, sizeof *took, ascending);
  printf("{\"p50Ns\":%llu,\"p99Ns\":%llu,\"meanNs\":%llu}\n", (unsigned long long)took[count / 2],
         (unsigned long long)took[count * 99 / 100], (unsigned long long)(sum / (uint64_t)count));
  return 0;
}
