"""A TCP forwarder in a thread: a link that a test can cut without closing it, as a dead router would."""
from __future__ import annotations

import selectors
import socket
import threading

CHUNK = 65536


class Forwarder:
    """Forwards 127.0.0.1:port to 127.0.0.1:target. While it is paused nothing passes: bytes stay where they
    are, and new connections get no further than our backlog."""

    def __init__(self, port: int, target: int):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._listener.setblocking(False)
        self._wake_read, self._wake_write = socket.socketpair()
        self._paused = self._closed = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        self._paused = True
        self._wake_write.send(b"x")

    def resume(self) -> None:
        self._paused = False
        self._wake_write.send(b"x")

    def close(self) -> None:
        self._closed = True
        self._wake_write.send(b"x")
        self._thread.join(5)
        for end in (self._wake_read, self._wake_write):  # not by the thread: it may be gone before it is woken
            end.close()

    def _run(self) -> None:
        while not self._closed:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_read, selectors.EVENT_READ)
                if not self._paused:
                    for source in (self._listener, *self._peers):
                        selector.register(source, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in selector.select()]
            for source in ready:
                if source is self._wake_read:
                    self._wake_read.recv(CHUNK)
                elif source is self._listener:
                    self._accept()
                elif source in self._peers:
                    self._forward(source)
        for source in (self._listener, *self._peers):
            source.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(5)
        self._peers[near], self._peers[far] = far, near

    def _forward(self, source: socket.socket) -> None:
        target = self._peers[source]
        try:
            data = source.recv(CHUNK)
            if data:
                target.sendall(data)
                return
        except OSError:
            pass  # one end is gone: so is the other
        for end in (source, target):
            del self._peers[end]
            end.close()
