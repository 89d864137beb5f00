"""CPython's stream cases that cannot apply to SafeSocket, and the sample for the fast run."""

from __future__ import annotations

TWO_OWNERS = "makes a second owner of one number, which SafeSocket exists to refuse"
REFUSED = "CannotGuard: [Errno 16]"

#: Test: (why it cannot apply, what its traceback has to contain for that to be the reason).
CANNOT_APPLY = {
    "GeneralModuleTests.testCloseException": (TWO_OWNERS, REFUSED),
    "GeneralModuleTests.test_SocketType_is_socketobject": (
        "wants an instance of the C class _socket.socket, which SafeSocket duck-types",
        "is not an instance of <class '_socket.socket'>",
    ),
    "GeneralModuleTests.test_socket_close": (
        "closes the number behind its owner and wants close() to fail; SafeSocket's close() is idempotent",
        "AssertionError: OSError not raised",
    ),
    "GeneralModuleTests.test_socket_fileno": (TWO_OWNERS, REFUSED),
    "TestExceptions.test_setblocking_invalidfd": (TWO_OWNERS, REFUSED),
}

#: Left out by name: without a hypervisor's device these wait for ever. They are no TCP or Unix streams.
HANGS = ("VSOCK",)

#: Classes that together touch every method in a few seconds.
SAMPLE = (
    "BasicSocketPairTest",
    "BasicTCPTest",
    "BasicTCPTest2",
    "BufferIOTest",
    "ContextManagersTest",
    "CreateServerTest",
    "FileObjectClassTestCase",
    "FileObjectInterruptedTestCase",
    "InheritanceTest",
    "InterruptedRecvTimeoutTest",
    "InterruptedSendTimeoutTest",
    "LineBufferedFileObjectClassTestCase",
    "NetworkConnectionAttributesTest",
    "NetworkConnectionBehaviourTest",
    "NetworkConnectionNoServer",
    "NonBlockingTCPTests",
    "NonblockConstantTest",
    "SendfileUsingSendTest",
    "SendfileUsingSendfileTest",
    "SendmsgTCPTest",
    "SmallBufferedFileObjectClassTestCase",
    "TCPTimeoutTest",
    "TestExceptions",
    "TestSocketSharing",
    "UnbufferedFileObjectClassTestCase",
    "UnicodeReadFileObjectClassTestCase",
    "UnicodeReadWriteFileObjectClassTestCase",
    "UnicodeWriteFileObjectClassTestCase",
)
