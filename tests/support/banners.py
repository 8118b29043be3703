"""An SSH server that answers a log-in with banners (USERAUTH_BANNER, encrypted) for ever. Says its address and its host key first."""

import socket
import threading

import paramiko
from paramiko.common import byte_chr

BANNER = 53


class Server(paramiko.ServerInterface):
    def __init__(self, transport):
        self.transport = transport

    def get_allowed_auths(self, username):
        return "password"

    def check_auth_none(self, username):
        while self.transport.is_active():
            message = paramiko.Message()
            message.add_byte(byte_chr(BANNER))
            message.add_string("x")
            message.add_string("")
            self.transport._send_message(message)
        return paramiko.AUTH_FAILED


def serve(client, key):
    transport = paramiko.Transport(client)
    transport.add_server_key(key)
    try:
        transport.start_server(server=Server(transport))
    except (paramiko.SSHException, EOFError):
        pass


key = paramiko.ECDSAKey.generate()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], key.get_name(), key.get_base64(), flush=True)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client, key), daemon=True).start()
