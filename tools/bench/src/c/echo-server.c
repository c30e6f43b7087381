/* The yardstick: a server that does nothing but answer 32-byte requests with 33 bytes, blocking in recv().
 * usage: echo-server SOCKET [CPU] */
#include "vfio-user.h"

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  pin(argc > 2 ? atoi(argv[2]) : -1);
  struct sockaddr_un address;
  int listener = unix_socket(argv[1], &address);
  unlink(argv[1]);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) die("listen");
  int client = accept(listener, NULL, NULL);
  char message[64] = { 0 };
  while (recv(client, message, 32, MSG_WAITALL) == 32)
    if (send(client, message, 33, MSG_NOSIGNAL) != 33) break;
  return 0;
}
