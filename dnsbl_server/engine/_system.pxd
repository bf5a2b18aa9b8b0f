"""What the engine needs of Linux and its C library: sockets, epoll, eventfd, clocks.

Owns the declarations, and nothing of what is done with them. See the manual pages of the functions.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <poll.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <time.h>
    #include <unistd.h>
    """
    ctypedef unsigned int socklen_t
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    struct sockaddr_in6:
        pass
    struct in_addr:
        uint32_t s_addr
    struct in_pktinfo:
        int ipi_ifindex
        in_addr ipi_spec_dst
        in_addr ipi_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct in6_pktinfo:
        in6_addr ipi6_addr
        unsigned int ipi6_ifindex
    cmsghdr* CMSG_FIRSTHDR(msghdr* header)
    cmsghdr* CMSG_NXTHDR(msghdr* header, cmsghdr* before)
    uint8_t* CMSG_DATA(cmsghdr* header)
    int IPPROTO_IP, IPPROTO_IPV6, IP_PKTINFO, IPV6_PKTINFO, MSG_DONTWAIT, MSG_TRUNC
    int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, void* timeout)
    int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)

    struct pollfd:
        int fd
        short events
        short revents
    int POLLOUT
    int poll(pollfd* polled, unsigned long count, int timeout)

    union epoll_data:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data data
    int EPOLLIN, EPOLL_CTL_ADD, EPOLL_CLOEXEC
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout)
    int EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int start, int flags)
    int eventfd_write(int fd, uint64_t value)
    int close(int fd)

    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_REALTIME, CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* now)
    int nanosleep(const timespec* time, timespec* left)


cdef inline double clock(int which) noexcept nogil:
    """Seconds on one of the kernel's clocks."""
    cdef timespec now
    clock_gettime(which, &now)
    return <double>now.tv_sec + 1e-9 * <double>now.tv_nsec
