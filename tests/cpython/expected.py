"""CPython's stream cases that cannot apply to SafeSocket, each with its reason."""

from __future__ import annotations

TWO_OWNERS = "makes two owners of one number, which is what SafeSocket exists to refuse (CannotGuard)"

CANNOT_APPLY = {
    "GeneralModuleTests.test_SocketType_is_socketobject": "SafeSocket duck-types _socket.socket, it is not one",
    "GeneralModuleTests.test_socket_close": "closes the number behind its owner's back and wants EBADF from close(): "
    "SafeSocket notices, leaves the number alone, and close() does not fail",
    "GeneralModuleTests.testCloseException": TWO_OWNERS,
    "GeneralModuleTests.test_socket_fileno": TWO_OWNERS,
    "TestExceptions.test_setblocking_invalidfd": TWO_OWNERS,
    "NetworkConnectionNoServer.test_create_connection_timeout": "derives from the class socket.socket: the adapter "
    "makes objects of another class",
}

#: Added by later Pythons.
CANNOT_APPLY_EITHER = {
    "PurePythonSocketPairTest.test_injected_authentication_failure": "replaces methods of the class socket.socket, "
    "which the adapter's objects do not have",
}

#: Classes that together touch every method, for the fast run.
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
    "LineBufferedFileObjectClassTestCase",
    "NonBlockingTCPTests",
    "NonblockConstantTest",
    "SendfileUsingSendTest",
    "SendmsgTCPTest",
    "SmallBufferedFileObjectClassTestCase",
    "TestExceptions",
    "UnbufferedFileObjectClassTestCase",
)
