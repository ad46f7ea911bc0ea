"""A line between two network namespaces, with delay, loss, and somebody who cuts it.

    line.py SEED DELAY_MS LOSS

makes two namespaces that know nothing of this machine's network, each with one interface, and
carries packets between 10.77.0.1 (the gateway's side, which dials) and 10.77.0.2 (the broker's).
Says `ready PID FD FD`: the namespaces are /proc/PID/fd/FD, and are gone with the last process in
them. Ends when its standard input does. It obeys, one word a line:

    reset   every connection ends as behind a router that was started anew: whoever sends on
            it is told so
    hole    every packet vanishes without a word, until the gateway's side gives up its
            connection and dials anew; the old ones never come back

and says `noticed SECONDS` when the gateway's side dials after that.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

GATEWAY, BROKER = "10.77.0.1", "10.77.0.2"
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
TCP = 6
SYN, RST, ACK = 2, 4, 16


def end(own, other):
    """A namespace with one interface; what is sent there comes out of the file that is returned."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"line", IFF_TUN | IFF_NO_PI))
    for words in (
        ["link", "set", "lo", "up"],
        ["addr", "add", own, "peer", other, "dev", "line"],
        ["link", "set", "line", "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    return tun, os.open("/proc/self/ns/net", os.O_RDONLY)


class Segment:
    """What a packet of TCP says."""

    def __init__(self, packet):
        start = (packet[0] & 15) * 4
        self.ports = struct.unpack_from("!HH", packet, start)
        self.seq, self.ack = struct.unpack_from("!II", packet, start + 4)
        self.flags = packet[start + 13]


def segment(packet):
    is_tcp = len(packet) >= 40 and packet[0] >> 4 == 4 and packet[9] == TCP
    return Segment(packet) if is_tcp else None


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def reset(source, target, ports, seq, ack=None):
    """A packet that ends a connection."""
    source, target = socket.inet_aton(source), socket.inet_aton(target)
    flags = RST if ack is None else RST | ACK

    def tcp(check):
        return struct.pack("!HHIIBBHHH", *ports, seq, ack or 0, 5 << 4, flags, 0, check, 0)

    def ip(check):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, TCP, check, source, target)

    pseudo = source + target + struct.pack("!HH", TCP, 20)
    return ip(checksum(ip(0))) + tcp(checksum(pseudo + tcp(0)))


class Line:
    def __init__(self, seed, delay, loss):
        self.chance = random.Random(seed)
        self.delay, self.loss = delay, loss
        self.gateway, self.gateway_space = end(GATEWAY, BROKER)
        self.broker, self.broker_space = end(BROKER, GATEWAY)
        self.under_way = []
        self.count = 0
        # By the gateway's port and the broker's: what each side last said that it expects.
        self.alive = {}
        # How those ended that were cut.
        self.dead = {}
        self.hole = False
        self.cut_at = None

    def run(self):
        print("ready", os.getpid(), self.gateway_space, self.broker_space, flush=True)
        while True:
            wait = max(0, self.under_way[0][0] - time.monotonic()) if self.under_way else None
            for ready in select.select([0, self.gateway, self.broker], [], [], wait)[0]:
                if ready:
                    self.come(ready)
                elif not self.obey(os.read(0, 100).decode()):
                    return
            self.deliver()

    def come(self, side):
        packet = os.read(side, 65536)
        told = segment(packet)
        if told is None:
            return
        from_gateway = side == self.gateway
        flow = told.ports if from_gateway else told.ports[::-1]
        if from_gateway and told.flags & (SYN | ACK) == SYN and flow not in self.alive and flow not in self.dead:
            self.dial(flow)
        if flow in self.dead:
            if self.dead[flow] == "reset":
                self.tell_dead(side, told)
            return
        if told.flags & ACK and flow in self.alive:
            self.alive[flow][side] = told.ack
        if self.hole or self.chance.random() < self.loss:
            return
        self.count += 1
        due = time.monotonic() + self.delay * self.chance.uniform(0.5, 1.5)
        other = self.broker if from_gateway else self.gateway
        heapq.heappush(self.under_way, (due, self.count, other, flow, packet))

    def dial(self, flow):
        self.alive[flow] = {}
        self.hole = False
        if self.cut_at is not None:
            print(f"noticed {time.monotonic() - self.cut_at:.2f}", flush=True)
            self.cut_at = None

    def deliver(self):
        now = time.monotonic()
        while self.under_way and self.under_way[0][0] <= now:
            _, _, side, flow, packet = heapq.heappop(self.under_way)
            if flow in self.alive:
                os.write(side, packet)

    def obey(self, words):
        for word in words.split():
            self.cut_at = time.monotonic()
            self.hole = word == "hole"
            for flow, expected in self.alive.items():
                self.dead[flow] = word
                for side, seq in expected.items() if word == "reset" else ():
                    self.end_at(side, flow, seq)
            self.alive.clear()
        return bool(words)

    def tell_dead(self, side, told):
        flow = told.ports if side == self.gateway else told.ports[::-1]
        if told.flags & ACK and not told.flags & RST:
            self.end_at(side, flow, told.ack)
        elif told.flags & SYN:
            self.end_at(side, flow, 0, told.seq + 1 & 0xFFFFFFFF)

    def end_at(self, side, flow, seq, ack=None):
        """Ends a connection at one side, as if the other had."""
        if side == self.gateway:
            packet = reset(BROKER, GATEWAY, flow[::-1], seq, ack)
        else:
            packet = reset(GATEWAY, BROKER, flow, seq, ack)
        os.write(side, packet)


if __name__ == "__main__":
    seed, delay, loss = sys.argv[1:]
    Line(seed, float(delay) / 1000, float(loss)).run()
