"""Carries TPM commands to a socket, for programs that want to reach a TPM in another way.

bridge.py stdio SOCKET    commands come on stdin, responses go to stdout
bridge.py device SOCKET   makes a character device, prints its path, and carries what is written to it
"""

import os
import pty
import socket
import sys
import tty


def read_message(descriptor):
    """One command or response: its size stands in bytes 2 to 5."""
    message = b""
    size = 10
    while len(message) < size:
        part = os.read(descriptor, size - len(message))
        if not part:
            return None
        message += part
        if len(message) >= 6:
            size = int.from_bytes(message[2:6], "big")
    return message


def device():
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    print(os.ttyname(theirs), flush=True)
    # `theirs` stays open here, so that the device lives on between its users.
    return ours, ours


def main():
    how, path = sys.argv[1:]
    commands, responses = device() if how == "device" else (0, 1)
    tpm = socket.socket(socket.AF_UNIX)
    tpm.connect(path)
    while command := read_message(commands):
        tpm.sendall(command)
        response = read_message(tpm.fileno())
        if response is None:
            break
        os.write(responses, response)


main()
