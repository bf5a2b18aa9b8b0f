/* The least that a UDP server can do: each message goes back with its QR bit set.
 *
 * What it costs is what the kernel costs, and so the bound of every server that takes and sends messages in batches.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64
#define MESSAGE 4096

static uint8_t messages[BATCH][MESSAGE];

int main(int argc, char **argv)
{
    static struct mmsghdr headers[BATCH];
    static struct iovec parts[BATCH];
    static struct sockaddr_in from[BATCH];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;
    if (argc != 2) {
        fputs("usage: echo PORT\n", stderr);
        return 2;
    }
    here.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here)) {
        perror("echo");
        return 2;
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){messages[i], MESSAGE};
            headers[i].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0 && errno != EINTR) {
            perror("echo");
            return 2;
        }
        for (int i = 0; i < count; i++) {
            messages[i][2] |= 0x80;
            parts[i].iov_len = headers[i].msg_len;
        }
        for (int sent = 0, done; sent < count; sent += done > 0 ? done : 1)
            done = sendmmsg(fd, headers + sent, (unsigned)(count - sent), 0);
    }
}
