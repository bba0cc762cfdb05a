# SPDX-License-Identifier: Apache-2.0
"""Memory that the kernel holds for sockets (sock_diag(7)), and resident memory of a process."""
import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
INET_DIAG_SKMEMINFO = 7
ESTABLISHED_AND_CLOSING = 0xFFF & ~(1 << 10)  # everything but LISTEN
NLMSG_HEADER = struct.Struct("=IHHII")
DIAG_MESSAGE = struct.Struct("=BBBB")  # family, state, timer, retransmits
PORTS = struct.Struct("!HH")


def _attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[(length + 3) & ~3:]


def _messages(sock):
    while True:
        data = sock.recv(1 << 20)
        while len(data) >= NLMSG_HEADER.size:
            length, kind, *_ = NLMSG_HEADER.unpack_from(data)
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                return
            yield data[NLMSG_HEADER.size:length]
            data = data[(length + 3) & ~3:]


def tcp_sockets():
    """(local port, remote port, bytes held by the kernel) of every IPv4 TCP socket."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as sock:
        request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 1 << (INET_DIAG_SKMEMINFO - 1), 0,
                              ESTABLISHED_AND_CLOSING) + bytes(48)
        sock.send(NLMSG_HEADER.pack(NLMSG_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY,
                                    NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + request)
        for message in _messages(sock):
            local, remote = PORTS.unpack_from(message, DIAG_MESSAGE.size)
            for kind, value in _attributes(message[72:]):
                if kind == INET_DIAG_SKMEMINFO:
                    received, _, _, _, forward, queued = struct.unpack_from("=6I", value)
                    yield local, remote, received + forward + queued


def kernel_bytes(*ports):
    """What the kernel holds for all connections of the programs that listen on these ports, both ends: bytes on
    their way from one end to the other don't change it."""
    return sum(held for local, remote, held in tcp_sockets() if local in ports or remote in ports)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096
